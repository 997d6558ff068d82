"""The members of an ensemble beside the whole: the same rows for the terminal, plain lines and the report."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from clfctl.comparing.choice import p_words
from clfctl.display.compare_tables import cut
from clfctl.evaluation.intervals import Interval
from clfctl.evaluation.metrics import Metrics
from clfctl.evaluation.paired import ALPHA
from clfctl.evaluation.record import Evaluation, Member

WHOLE = "all as one"
TITLES = ("accuracy", "95 %", "loss", "F1", "ECE", "weight", "whole − member", "95 %", "p")
# What is left of these in 80 columns: the accuracy, its interval, the loss, the difference and its p.
_NARROW = (0, 1, 2, 6, 8)
_P = 8
_WIDE, _GAP, _NAME = 110, 2, 10


@dataclass(frozen=True)
class Line:
    """The whole, or a member: its name, and a cell for each of TITLES; `is_told` where the whole differs from it."""

    name: str
    cells: tuple[str, ...]
    is_told: bool = False


def lines_of(evaluation: Evaluation) -> list[Line]:
    """Return the whole and each member; there is nothing to stand beside for the whole itself."""
    found = [Line(WHOLE, (*_cells(evaluation.metrics), "", "", "", ""))]
    for each in evaluation.members:
        low, high = (100 * limit for limit in (each.interval.low, each.interval.high))
        beside = (f"{100 * each.difference:+.2f} points", f"{low:+.1f} to {high:+.1f}", p_words(each.p_holm))
        cells = (*_cells(each.metrics), f"{each.weight:.3f}", *beside)
        found.append(Line(each.name, cells, each.p_holm < ALPHA))
    return found


def verdict(members: Sequence[Member]) -> str:
    """Return in a sentence whether the whole is better than the best of its members; a warning where it is worse."""
    best = max(members, key=lambda each: (each.metrics.top1, -each.metrics.loss))
    points = f"{100 * abs(best.difference):.2f} percentage points"
    p = p_words(best.p_holm)
    if not best.difference:
        return f"The whole is exactly as accurate as the best member, {best.name}."
    if best.p_holm < ALPHA:
        than = f"accurate than the best member, {best.name}: too much for chance (p = {p})"
        if best.difference > 0:
            return f"The whole is {points} more {than}."
        return f"Warning: the whole is {points} less {than}. Use that member alone."
    if best.difference > 0:
        return f"The whole is {points} ahead of the best member, {best.name}; that may be chance (p = {p})."
    behind = f"Warning: the whole is {points} behind the best member, {best.name}; that may be chance (p = {p})."
    return f"{behind} Use that member alone, unless more images speak for the whole."


def members_table(evaluation: Evaluation, width: int) -> Table:
    """Return the table for a terminal of `width` columns. Only names are ever cut."""
    lines = lines_of(evaluation)
    shown = range(len(TITLES)) if width >= _WIDE else _NARROW
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    widths = [max(len(TITLES[place]), *(len(line.cells[place]) for line in lines)) for place in shown]
    free = max(_NAME, width - sum(widths) - _GAP * len(widths))
    table.add_column("model", no_wrap=True)
    for place, each in zip(shown, widths, strict=True):
        table.add_column(TITLES[place], justify="right", no_wrap=True, min_width=each)
    for number, line in enumerate(lines):
        style = "bold" if number == 0 else ""
        cells = [Text(line.cells[place], "green" if line.is_told and place == _P else style) for place in shown]
        table.add_row(Text(cut(line.name, free), style), *cells)
    return table


def plain_members(evaluation: Evaluation) -> list[str]:
    """Return the same as lines of words two blanks apart."""
    found = []
    for line in lines_of(evaluation):
        pairs = [f"{title} {cell}" for title, cell in zip(TITLES, line.cells, strict=True) if cell]
        found.append("  ".join(["member" if line.name != WHOLE else "whole", line.name, *pairs]).replace("−", "-"))
    return [*found, verdict(evaluation.members)]


def _cells(metrics: Metrics) -> tuple[str, ...]:
    return (
        f"{100 * metrics.top1:.2f} %",
        _limits(metrics.top1_interval),
        f"{metrics.loss:.4f}",
        f"{metrics.macro.f1:.3f}",
        f"{100 * metrics.calibration.ece:.2f} %",
    )


def _limits(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"
