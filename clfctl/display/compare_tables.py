"""The numbers of compared runs as rows, the same for the terminal, plain lines and the page."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clfctl.comparing.comparison import Side, sort_modes
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.evaluation.intervals import Interval

NONE = "–"


@dataclass(frozen=True)
class Row:
    """A line of a table with a cell a run; `best` is the place of the best, None where it makes no difference."""

    title: str
    cells: Sequence[str]
    best: int | None = None


def percent(value: float) -> str:
    """Return a share as `96.38 %`."""
    return f"{100 * value:.2f} %"


_TITLES: dict[str, tuple[str, Callable[[float], str]]] = {
    "top1": ("accuracy", percent),
    "top5": ("top 5", percent),
    "loss": ("loss", lambda loss: f"{loss:.4f}"),
    "f1": ("F1, macro", lambda share: f"{share:.3f}"),
    "balanced_accuracy": ("balanced accuracy", percent),
    "kappa": ("Cohen's kappa", lambda kappa: f"{kappa:.3f}"),
    "ece": ("calibration error", percent),
    "parameters": ("parameters", lambda n: f"{n / 1e6:.2f} M" if n >= 1e6 else f"{n:,.0f}"),
    "bytes": ("weights", lambda n: f"{n / 1e6:.1f} MB" if n >= 1e5 else f"{n / 1e3:.1f} kB"),
    "latency_ms": ("one image", lambda ms: f"{ms:.3g} ms"),
    "images_per_s": ("images/s", lambda rate: f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"),
}
_SHARES = ("top1", "top5", "balanced_accuracy", "ece")


def number_rows(sides: Sequence[Side]) -> list[Row]:
    """Return a row for each number that is known of a run, with its interval in a row of its own."""
    rows = []
    for name, (title, write) in _TITLES.items():
        if row := _row(title, [side.numbers.get(name, math.nan) for side in sides], name, write):
            rows.append(row)
            limits = [side.intervals.get(name) for side in sides]
            if any(limits):
                rows.append(Row("  95 %", [_limits(each, is_share=name in _SHARES) for each in limits]))
    if any(side.measured for side in sides) and any("top1" in side.numbers for side in sides):
        return rows
    # Nothing was measured on images that all have in common: what each history says.
    for name, metric in METRICS.items():
        write = percent if metric.kind == "share" else _TITLES["loss"][1]
        if row := _row(name, [side.numbers.get(name, math.nan) for side in sides], name, write):
            rows.append(row)
    return rows


def _row(title: str, values: Sequence[float], name: str, write: Callable[[float], str]) -> Row | None:
    known = {place: value for place, value in enumerate(values) if math.isfinite(value)}
    if not known:
        return None
    pick = min if sort_modes()[name] == "min" else max
    best = pick(known, key=known.__getitem__) if len({*known.values()}) > 1 else None
    return Row(title, [write(value) if math.isfinite(value) else NONE for value in values], best)


def _limits(interval: Interval | None, *, is_share: bool) -> str:
    if interval is None:
        return NONE
    if is_share:
        return f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"
    return f"{interval.low:.3f} to {interval.high:.3f}"


def cut(text: str, width: int) -> str:
    """Return as much of a text as fits into `width` columns, on one line."""
    from rich.cells import cell_len, set_cell_size

    text = " ".join(text.split())
    return text if cell_len(text) <= width else set_cell_size(text, max(1, width - 1)).rstrip() + "…"
