"""The phases of bench-data in their order, each shown as soon as it is measured, or as far as it came."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from clfctl.bench import sections
from clfctl.bench.advice import Advice, CacheFacts, Training, advise, candidates, feed_for, is_plenty, plenty, smallest
from clfctl.bench.feeds import Files, files_of
from clfctl.bench.options import BenchOptions, as_training
from clfctl.bench.phases import N_MODEL_WINDOWS, N_WINDOWS, Bench, Config, Windows
from clfctl.bench.print import print_section
from clfctl.bench.rows import NONE, LoaderRow, Rates, Stage
from clfctl.bench.sample_cache import CacheKind
from clfctl.bench.windows import load_before, worker_counts
from clfctl.data.sources.base import Data
from clfctl.data.sources.manifest import is_manifest
from clfctl.data.workers import n_cores
from clfctl.display.output import Output
from clfctl.engine.device import describe
from clfctl.errors import UsageError, WriteError
from clfctl.settings.groups import BenchSettings
from clfctl.storage.names import plain

BUDGET_S = 50.0
SHORTEST_S, LONGEST_S = 0.3, 1.0
READ_S, STAGES_WINDOWS = 1.0, 3


@dataclass
class Found:
    """What was measured; the parts that were not asked for are empty."""

    title: str
    stages: list[Stage] = field(default_factory=list)
    rows: list[LoaderRow] = field(default_factory=list)
    lines: dict[str, Rates] = field(default_factory=dict)
    advice: Advice | None = None

    def plot(self, path: Path) -> None:
        """Write the picture."""
        from clfctl.bench.plot import save_bench_plot  # matplotlib costs a second

        save_bench_plot(path, self.title, self.stages, self.rows, self.lines)


def run_bench(settings: BenchSettings, data: Data, output: Output, options: BenchOptions, *, with_model: bool) -> Found:
    """Measure everything that is asked for, and show it; what a signal interrupts is shown as far as it came.

    Raises UsageError if other loaders cannot read the data, DataError or ModelError if there is nothing to measure.
    """
    load = load_before()
    bench = Bench.of(as_training(settings), data, READ_S)
    files = _files_for_rivals(settings, bench) if options.against else None
    run = _Run(bench, output, _extent(settings, options, with_model=with_model), Found(_title(settings)))
    run.describe_files(load)
    run.stages()
    run.cache()
    rows = run.loader()
    run.advise(run.model(rows) if with_model else advise(rows, run.facts, run.training))
    if files:
        run.rivals(rows, files, options.against)
    run.tell_what_is_bad()
    return run.found


@dataclass(frozen=True)
class _Extent:
    """How much is measured: numbers of workers, a kind of cache, and seconds a window."""

    counts: Sequence[int]
    cache: CacheKind
    seconds: float


def _extent(settings: BenchSettings, options: BenchOptions, *, with_model: bool) -> _Extent:
    stated = [] if settings.workers == "auto" else [settings.workers]
    counts = sorted({*worker_counts(n_cores()), *stated})
    n_windows = STAGES_WINDOWS + 2 * N_WINDOWS * len(counts)
    n_windows += 3 * N_MODEL_WINDOWS * with_model + 2 * N_WINDOWS * len(options.against)
    seconds = options.seconds or min(LONGEST_S, max(SHORTEST_S, BUDGET_S / n_windows))
    # Both kinds read the same bytes: one of them shows what a cache gains.
    return _Extent(counts, "disk" if settings.cache == "none" else settings.cache, seconds)


def _files_for_rivals(settings: BenchSettings, bench: Bench) -> Files:
    """Return the files that other loaders can read too. Raises UsageError if there are none."""
    files = None if is_manifest(settings.data) else files_of(bench.sample.part)
    if files is None:
        what = f"{settings.data} is not a folder of class folders, which is all that the others read"
        raise UsageError(what, "leave it out", field="against")
    return files


def _title(settings: BenchSettings) -> str:
    return f"clfctl bench-data: {plain(settings.data)}"


@dataclass(frozen=True)
class _Run:
    """One call of the command: what it measures with, and what it found."""

    bench: Bench
    output: Output
    extent: _Extent
    found: Found

    @property
    def facts(self) -> dict[str, CacheFacts]:
        """What a cache of all images would cost."""
        return {kind: each.facts for kind, each in self.bench.caches.items()}

    @property
    def training(self) -> Training:
        """How long what is recommended would be used."""
        return Training(self.bench.sample.n_all, self.bench.settings.epochs)

    def describe_files(self, load: float) -> None:
        """Show what is measured with; `load` is how many cores' worth of other work there was."""
        bench = self.bench
        device = describe(bench.parts.precision.device)
        self._print(sections.files_section(bench.settings.data, bench.sample, device, load))

    def stages(self) -> None:
        """Time the stages."""
        started, shown = time.perf_counter(), 0
        with self._bar("Stages", STAGES_WINDOWS) as advance:

            def on_batch() -> None:
                nonlocal shown
                over = min(STAGES_WINDOWS, int((time.perf_counter() - started) / self.extent.seconds))
                advance(over - shown)
                shown = over

            self.found.stages = self.bench.stages(STAGES_WINDOWS * self.extent.seconds, on_batch)
        self._print(sections.stages_section(self.found.stages))

    def cache(self) -> None:
        """Make a cache of the sample; where that cannot be done, go on without."""
        kind = self.extent.cache
        try:
            with self._bar(f"Cache {kind}", self.bench.sample.n_images) as advance:
                self.bench.make_cache(kind, self.bench.parts.data, advance)
        except WriteError as error:
            self.output.note(f"`cache={kind}` is not measured: {error.message}")

    def loader(self) -> list[LoaderRow]:
        """Measure the loader alone."""
        windows = Windows()
        configs = [(workers, cache) for cache in (NONE, *self.bench.caches) for workers in self.extent.counts]
        auto = self.bench.workers_of_auto
        with (
            self._shown(lambda: self._loader_section(windows, auto)),
            self._bar("Loader", N_WINDOWS * len(configs)) as advance,
        ):
            self.bench.feed_alone(configs, self.extent.seconds, windows, lambda: advance(1))
        self.found.rows = windows.rows()
        return self.found.rows

    def model(self, rows: Sequence[LoaderRow]) -> Advice:
        """Measure the model alone, and training with the loader; return what to set for it."""
        name, seconds = self.bench.settings.model, self.extent.seconds
        alone: list[float] = []
        windows = Windows()
        with self._shown(lambda: self._model_section(alone, windows, rows)):
            with self._bar(f"Model {name}", N_MODEL_WINDOWS) as advance:
                self.bench.model_alone(seconds, alone, lambda: advance(1))
            rate = Rates(tuple(alone))
            promising = candidates(rows, rate)
            configs = [(row.workers, row.cache) for row in promising]
            with self._bar(f"Training {name}", N_MODEL_WINDOWS * len(configs)) as advance:
                self.bench.train(configs, seconds, windows, lambda: advance(1))
        self.found.lines[f"what {name} takes"] = rate
        if is_plenty(promising[0], rate):
            return plenty(promising[0], rate)
        return advise(windows.rows(), self.facts, self.training)

    def advise(self, advice: Advice) -> None:
        """Show what to set."""
        self.found.advice = advice
        self._print(sections.advice_section(advice))

    def rivals(self, rows: Sequence[LoaderRow], files: Files, others: Sequence[str]) -> None:
        """Measure ours and other loaders in turns, with as many workers as ours does best with."""
        best = smallest([row for row in rows if row.workers and row.cache == NONE])
        ours: list[Config] = [(best.workers, cache) for cache in (NONE, *self.bench.caches)]
        turns: dict[str, list[float]] = {}
        with (
            self._shown(lambda: self._rivals_section(turns, others, best.workers)),
            self._bar("Against " + ", ".join(others), N_WINDOWS * (len(ours) + len(others))) as advance,
        ):
            self.bench.rivals(others, files, ours, self.extent.seconds, turns, lambda: advance(1))
        self.found.lines.update((name, Rates(tuple(turns[name]))) for name in others)

    def tell_what_is_bad(self) -> None:
        """Tell how many images of the sample cannot be read."""
        if bad := self.bench.bad_images.found:
            were = "image cannot be read and was" if len(bad) == 1 else "images cannot be read and were"
            self.output.note(f"{len(bad)} {were} skipped: clfctl check-data names them.")

    def _loader_section(self, windows: Windows, auto: int) -> sections.Section | None:
        rows = windows.rows()
        return sections.loader_section(rows, n_cores(), auto) if rows else None

    def _model_section(
        self, alone: Sequence[float], windows: Windows, rows: Sequence[LoaderRow]
    ) -> sections.Section | None:
        if not alone:
            return None
        rate = Rates(tuple(alone))
        return sections.model_section(self.bench.settings.model, rate, windows.rows(), feed_for(rows, rate))

    def _rivals_section(
        self, turns: dict[str, list[float]], others: Sequence[str], workers: int
    ) -> sections.Section | None:
        rates = {name: Rates(tuple(each)) for name, each in turns.items() if each}
        return sections.rivals_section(rates, [name for name in others if name in rates], workers) if rates else None

    def _bar(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        return self.output.bar(what, total)

    def _print(self, section: sections.Section) -> None:
        print_section(section, self.output)

    @contextmanager
    def _shown(self, section: Callable[[], sections.Section | None]) -> Iterator[None]:
        """Show what was measured inside, if anything was, however it ends."""
        try:
            yield
        finally:
            if made := section():
                self._print(made)
