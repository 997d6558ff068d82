"""The phases of bench-data in their order, each shown as soon as it is measured, or as far as it came."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from clfctl.bench import sections
from clfctl.bench.advice import Advice, CacheFacts, Training, advise, candidates, feed_for, is_plenty, plenty, smallest
from clfctl.bench.feeds import Files, files_of
from clfctl.bench.options import BenchOptions, as_training
from clfctl.bench.phases import N_MODEL_WINDOWS, N_WINDOWS, Bench, Config, Windows
from clfctl.bench.print import print_section
from clfctl.bench.rows import NONE, LoaderRow, Rates, Stage
from clfctl.bench.sample_cache import Kind
from clfctl.bench.windows import load_before, worker_counts
from clfctl.data.sources.base import Data
from clfctl.data.sources.manifest import is_manifest
from clfctl.data.workers import n_cores
from clfctl.display.notes import note
from clfctl.display.progress import progress_bar
from clfctl.engine.device import describe
from clfctl.errors import UsageError, WriteError
from clfctl.settings.groups import BenchSettings, OutputSettings

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


def run_bench(
    settings: BenchSettings, data: Data, output: OutputSettings, options: BenchOptions, *, with_model: bool
) -> Found:
    """Measure everything that is asked for, and show it; what a signal interrupts is shown as far as it came."""
    run = _Run(settings, data, output, options, with_model)
    run.stages()
    run.cache()
    rows = run.loader()
    if with_model:
        run.model(rows)
    else:
        run.advise(advise(rows, run.facts, run.training))
    if options.against:
        run.rivals(rows)
    run.say_what_is_bad()
    return run.found


class _Run:
    """One call of the command: what it measures with, and what it found."""

    def __init__(
        self,
        settings: BenchSettings,
        data: Data,
        output: OutputSettings,
        options: BenchOptions,
        with_model: bool,
    ) -> None:
        self.output, self.options, self.settings = output, options, settings
        load = load_before()
        # Both kinds read the same bytes: one of them tells what a cache gains.
        self.kind: Kind = "disk" if settings.cache == "none" else settings.cache
        stated = [] if settings.workers == "auto" else [settings.workers]
        self.counts = sorted({*worker_counts(n_cores()), *stated})
        n_windows = STAGES_WINDOWS + 2 * N_WINDOWS * len(self.counts)
        n_windows += 3 * N_MODEL_WINDOWS * with_model + 2 * N_WINDOWS * len(options.against)
        self.seconds = options.seconds or min(LONGEST_S, max(SHORTEST_S, BUDGET_S / n_windows))
        self.bench = Bench.of(as_training(settings), data, READ_S)
        self.files = self._files_for_rivals()
        sample = self.bench.sample
        self.training = Training(sample.n_all, settings.epochs)
        self.found = Found(f"clfctl bench-data: {settings.data}")
        device = describe(self.bench.parts.precision.device)
        self._print(sections.files_section(settings.data, sample, device, load))

    def stages(self) -> None:
        """Time the stages."""
        started, shown = time.perf_counter(), 0
        with self._bar("Stages", STAGES_WINDOWS) as advance:

            def on_batch() -> None:
                nonlocal shown
                over = min(STAGES_WINDOWS, int((time.perf_counter() - started) / self.seconds))
                advance(over - shown)
                shown = over

            self.found.stages = self.bench.stages(STAGES_WINDOWS * self.seconds, on_batch)
        self._print(sections.stages_section(self.found.stages))

    def cache(self) -> None:
        """Make a cache of the sample; where that cannot be done, go on without."""
        try:
            with self._bar(f"Cache {self.kind}", self.bench.sample.n_images) as advance:
                self.bench.make_cache(self.kind, self.bench.parts.data, advance)
        except WriteError as error:
            note(self.output, f"--cache {self.kind} is not measured: {error}")

    @property
    def facts(self) -> dict[str, CacheFacts]:
        """What a cache of all images would cost."""
        return {kind: each.facts for kind, each in self.bench.caches.items()}

    def loader(self) -> list[LoaderRow]:
        """Measure the loader alone."""
        windows = Windows()
        configs = [(workers, cache) for cache in (NONE, *self.bench.caches) for workers in self.counts]
        auto = self.bench.workers_of_auto
        try:
            with self._bar("Loader", N_WINDOWS * len(configs)) as advance:
                self.bench.feed_alone(configs, self.seconds, windows, lambda: advance(1))
        finally:
            self.found.rows = windows.rows()
            if self.found.rows:
                self._print(sections.loader_section(self.found.rows, n_cores(), auto))
        return self.found.rows

    def model(self, rows: Sequence[LoaderRow]) -> None:
        """Measure the model alone, and training with the loader, and say what to set for it."""
        alone: list[float] = []
        windows = Windows()
        name = self.settings.model
        try:
            with self._bar(f"Model {name}", N_MODEL_WINDOWS) as advance:
                self.bench.model_alone(self.seconds, alone, lambda: advance(1))
            found = candidates(rows, Rates(tuple(alone)))
            configs = [(row.workers, row.cache) for row in found]
            with self._bar(f"Training {name}", N_MODEL_WINDOWS * len(configs)) as advance:
                self.bench.train(configs, self.seconds, windows, lambda: advance(1))
        finally:
            if alone:
                rate = Rates(tuple(alone))
                self.found.lines[f"what {name} takes"] = rate
                self._print(sections.model_section(name, rate, windows.rows(), feed_for(rows, rate)))
        if is_plenty(found[0], rate):
            self.advise(plenty(found[0], rate))
        else:
            self.advise(advise(windows.rows(), self.facts, self.training))

    def advise(self, advice: Advice) -> None:
        """Say what to set."""
        self.found.advice = advice
        self._print(sections.advice_section(advice))

    def rivals(self, rows: Sequence[LoaderRow]) -> None:
        """Measure ours and other loaders in turns, with as many workers as ours does best with."""
        assert self.files is not None
        best = smallest([row for row in rows if row.workers and row.cache == NONE])
        ours: list[Config] = [(best.workers, cache) for cache in (NONE, *self.bench.caches)]
        turns: dict[str, list[float]] = {}
        n_turns = N_WINDOWS * (len(ours) + len(self.options.against))
        try:
            with self._bar("Against " + ", ".join(self.options.against), n_turns) as advance:
                self.bench.rivals(self.options.against, self.files, ours, self.seconds, turns, lambda: advance(1))
        finally:
            rates = {name: Rates(tuple(each)) for name, each in turns.items() if each}
            if rates:
                others = {name: rates[name] for name in self.options.against if name in rates}
                self.found.lines |= others
                self._print(sections.rivals_section(rates, list(others), best.workers))

    def say_what_is_bad(self) -> None:
        """Tell how many images of the sample cannot be read."""
        if bad := self.bench.bad_images.found:
            were = "image cannot be read and was" if len(bad) == 1 else "images cannot be read and were"
            note(self.output, f"{len(bad)} {were} skipped: clfctl check-data names them.")

    def _files_for_rivals(self) -> Files | None:
        if not self.options.against:
            return None
        files = None if is_manifest(self.settings.data) else files_of(self.bench.sample.part)
        if files is None:
            what = f"--against: {self.settings.data} is no folder of class folders, which is all that others read"
            raise UsageError(what, "leave out --against")
        return files

    def _bar(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        return progress_bar(what, total, hidden=self.output.quiet)

    def _print(self, section: sections.Section) -> None:
        print_section(section, self.output)
