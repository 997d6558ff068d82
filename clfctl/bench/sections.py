"""What bench-data found, section by section: the cells of a table, sentences below it, and records for JSON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from clfctl.bench.advice import Advice, bottleneck, slower_of
from clfctl.bench.rows import COPY, NONE, LoaderRow, Rates, Stage, ratio
from clfctl.storage.files import in_bytes

if TYPE_CHECKING:
    from clfctl.bench.windows import Sample

Record = dict[str, Any]
BUSY = 0.5  # from this many cores' worth of other work on, it is mentioned


@dataclass(frozen=True)
class Section:
    """A title, a table (none without `header`) with a length for the bar of each row, and sentences below it."""

    title: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    bars: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    records: tuple[Record, ...] = field(default=(), repr=False)

    def spelled(self, spell: Callable[[str], str]) -> "Section":
        """Return the section with its settings, which stand in backticks as in any note, as `spell` writes them."""
        return replace(
            self,
            title=spell(self.title),
            rows=tuple(tuple(map(spell, row)) for row in self.rows),
            notes=tuple(map(spell, self.notes)),
            records=tuple(_spelled(record, spell) for record in self.records),
        )


def files_section(data: str, sample: "Sample", where: str, load: float) -> Section:
    """Describe the images that are measured with, and in what state they and the machine are.

    `load` is how many cores' worth of work there was in the last minute.
    """
    n, n_all = sample.n_images, sample.n_all
    used = f"{n:,} of {n_all:,} training images" if n < n_all else f"all {n_all:,} training images"
    notes = [f"Measured with {used} of {data}, on {where}."]
    if sample.n_bytes:
        first = f"{n / sample.read_s:,.0f} images/s and {in_bytes(round(sample.n_bytes / sample.read_s))}/s"
        notes.append(f"They were read once before ({first}, one after the other): now they come from memory, not disk.")
        notes.append(f"Their mean size is {in_bytes(round(sample.n_bytes / n))}.")
    else:
        notes.append("They are in memory, and not encoded.")
    if load > BUSY:
        notes.append(f"In the last minute {load:.1f} threads were at work here: what is recommended is for such times.")
    record = {"section": "files", "data": data, "n_images": n, "n_all": n_all, "n_bytes": sample.n_bytes}
    record |= {"read_s": sample.read_s, "page_cache": "warm", "device": where, "load": load}
    return Section("", notes=tuple(notes), records=(record,))


def stages_section(stages: Sequence[Stage]) -> Section:
    """Show the stages, and the sum of them."""
    most = max(stage.seconds for stage in stages)
    rows = [
        (each.name, *_rate_cells(each.rates), f"{1e6 * each.seconds:,.0f}", f"{100 * each.share:.1f} %")
        for each in stages
    ]
    whole = sum(each.seconds for each in stages)
    rows.append(("all of them", f"{1 / whole:,.0f}", "", f"{1e6 * whole:,.0f}", "100.0 %"))
    of_workers = [stage for stage in stages if stage.name != COPY]
    worst = max(of_workers, key=lambda stage: stage.seconds)
    share = worst.seconds / sum(stage.seconds for stage in of_workers)
    return Section(
        "One image after the other, in one thread",
        ("stage", "images/s", "spread", "µs/image", "share"),
        tuple(rows),
        (*(each.seconds / most for each in stages), 0.0),
        (f"What limits a worker: {worst.name}, {100 * share:.0f} % of its time ({COPY} is not its work).",),
        tuple(
            {"section": "stage", "stage": each.name, "us_per_image": 1e6 * each.seconds, "share": each.share}
            | _rate_record(each.rates)
            for each in stages
        ),
    )


def loader_section(rows: Sequence[LoaderRow], n_cores: int, auto: int) -> Section:
    """Show what the loader feeds by workers and cache; `auto` is what `workers=auto` comes to."""
    title = f"The loader of train, its batches only counted ({n_cores} core{'s' * (n_cores != 1)})"
    section = _rows_section("loader", title, rows, [])
    record = {"section": "auto", "workers": auto}
    return replace(section, notes=(f"`workers=auto` is {auto} here.",), records=(*section.records, record))


def model_section(name: str, model: Rates, rows: Sequence[LoaderRow], feed: LoaderRow) -> Section:
    """Show what the model takes, and what training reaches with the loader; `feed` is what it could be fed."""
    alone = ("model alone", "", *_rate_cells(model), "")
    section = _rows_section("training", f"Training {name}", rows, [alone], model.median)
    record = {"section": "model", "model": name, "bottleneck": slower_of(feed.rates, model)} | _rate_record(model)
    return replace(section, notes=(bottleneck(feed, model),), records=(record, *section.records))


def rivals_section(rates: Mapping[str, Rates], others: Sequence[str], workers: int) -> Section:
    """Show ours and the others, and how many times as fast each of ours is."""
    most = max(each.median for each in rates.values())
    times = {
        name: {} if name in others else {other: ratio(each, rates[other]) for other in others}
        for name, each in rates.items()
    }
    rows = [
        (name, *_rate_cells(each), *(f"{times[name][other]:.2f}" if times[name] else "" for other in others))
        for name, each in rates.items()
    ]
    records = [
        {"section": "against", "name": name, "workers": workers, "times": times[name]} | _rate_record(each)
        for name, each in rates.items()
    ]
    return Section(
        f"In turns, {workers} worker{'s' * (workers != 1)} each, the same files, random crop and flip",
        ("feed", "images/s", "spread", *(f"times {other}" for other in others)),
        tuple(rows),
        tuple(each.median / most for each in rates.values()),
        records=tuple(records),
    )


def advice_section(advice: Advice) -> Section:
    """Show what to set, and why."""
    row = advice.row
    options = f"`workers={row.workers}`" + (f" `cache={row.cache}`" if row.cache != NONE else "")
    record = {"section": "recommendation", "workers": row.workers, "cache": row.cache, "reasons": list(advice.reasons)}
    return Section(f"Set {options}", notes=advice.reasons, records=(record,))


def _rows_section(
    name: str, title: str, rows: Sequence[LoaderRow], before: Sequence[tuple[str, ...]], most: float = 0.0
) -> Section:
    ordered = sorted(rows, key=lambda row: (row.cache != NONE, row.cache, row.workers))
    rates = [*([most] if most else []), *(row.rates.median for row in ordered)]
    cells = [(f"{row.workers}", row.cache, *_rate_cells(row.rates), in_bytes(row.peak_memory)) for row in ordered]
    records = [
        {"section": name, "workers": row.workers, "cache": row.cache, "peak_memory_bytes": row.peak_memory}
        | _rate_record(row.rates)
        for row in ordered
    ]
    return Section(
        title,
        ("workers", "cache", "images/s", "spread", "memory"),
        (*before, *cells),
        tuple(each / max(rates) for each in rates),
        records=tuple(records),
    )


def _spelled(value: Any, spell: Callable[[str], str]) -> Any:
    match value:
        case str():
            return spell(value)
        case list():
            return [_spelled(each, spell) for each in value]
        case dict():
            return {name: _spelled(each, spell) for name, each in value.items()}
    return value


def _rate_cells(rates: Rates) -> tuple[str, str]:
    spread = f"{rates.low:,.0f} to {rates.high:,.0f}" if len(rates.windows) > 1 else "one window"
    return f"{rates.median:,.0f}", spread


def _rate_record(rates: Rates) -> Record:
    return {
        "images_per_s": rates.median,
        "low": rates.low,
        "high": rates.high,
        "n_windows": len(rates.windows),
    }
