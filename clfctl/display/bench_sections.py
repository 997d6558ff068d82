"""What bench-data found, section by section: the cells of a table, sentences below it, and records for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clfctl.data.bench_advice import Advice, bottleneck, in_bytes, slower_of
from clfctl.data.bench_rows import COPY, NONE, LoaderRow, Rates, Stage

Record = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """A title, a table (none without `header`) with a length for the bar of each row, and sentences below it."""

    title: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    bars: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    records: tuple[Record, ...] = field(default=(), repr=False)


def files_section(data: str, n_images: int, n_all: int, n_bytes: int, read_s: float, where: str) -> Section:
    """Describe the images that are measured with, and in what state they are."""
    used = f"{n_images:,} of {n_all:,} training images" if n_images < n_all else f"all {n_all:,} training images"
    notes = [f"Measured with {used} of {data}, on {where}."]
    if n_bytes:
        first = f"{n_images / read_s:,.0f} images/s and {in_bytes(round(n_bytes / read_s))}/s"
        notes.append(
            f"They were read once before ({first}, one after the other): now they come from memory, not from disk."
        )
        notes.append(f"Their mean size is {in_bytes(round(n_bytes / n_images))}.")
    else:
        notes.append("They are in memory, and not encoded.")
    record = {"n_images": n_images, "n_all": n_all, "n_bytes": n_bytes, "read_s": read_s, "page_cache": "warm"}
    return Section("", notes=tuple(notes), records=({"section": "files", "data": data} | record,))


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


def loader_section(rows: Sequence[LoaderRow], n_cores: int) -> Section:
    """Show what the loader feeds by workers and cache."""
    title = f"The loader of train, its batches only counted ({n_cores} core{'s' * (n_cores != 1)})"
    return _rows_section("loader", title, rows, [])


def model_section(name: str, model: Rates, rows: Sequence[LoaderRow], feed: LoaderRow) -> Section:
    """Show what the model takes, and what training reaches with the loader; `feed` is what it could be fed."""
    alone = ("model alone", "", *_rate_cells(model), "")
    section = _rows_section("training", f"Training {name}", rows, [alone], model.median)
    record = {"section": "model", "model": name, "bottleneck": slower_of(feed.rates, model)} | _rate_record(model)
    return replace(section, notes=(bottleneck(feed, model),), records=(record, *section.records))


def rivals_section(rates: Mapping[str, Rates], ratios: Mapping[str, float], workers: int) -> Section:
    """Show ours and the others, and how many times as fast the first is."""
    most = max(each.median for each in rates.values())
    ours = next(iter(rates))
    rows = [
        (name, *_rate_cells(each), "" if name not in ratios else f"{ratios[name]:.2f}") for name, each in rates.items()
    ]
    records = [
        {"section": "against", "name": name, "workers": workers, "ratio": ratios.get(name)} | _rate_record(each)
        for name, each in rates.items()
    ]
    return Section(
        f"In turns, {workers} worker{'s' * (workers != 1)} each, the same files, random crop and flip",
        ("feed", "images/s", "spread", f"{ours} is … times"),
        tuple(rows),
        tuple(each.median / most for each in rates.values()),
        records=tuple(records),
    )


def advice_section(advice: Advice) -> Section:
    """Show what to set, and why."""
    row = advice.row
    options = f"--workers {row.workers}" + (f" --cache {row.cache}" if row.cache != NONE else "")
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
