"""Planned against applied in words: how many batches were trained as planned, and each that was not."""

from collections.abc import Iterator
from itertools import islice

from clfctl.display.curve import format_lr
from clfctl.planning.preview.applied import Applied, Difference

MAX_LINES = 10


def applied_lines(subject: str, applied: Applied) -> Iterator[str]:
    """Yield a line for each difference, the first of many, or one that says that there is none."""
    found = applied.differences()
    first = [*islice(found, MAX_LINES)]
    for each in first:
        yield f"Warning: {subject}, {_where(each)}: planned {_rates(each)}."
    if more := sum(1 for _ in found):
        yield f"Warning: {subject}: {more:,} more differences between planned and applied."
    if not first:
        yield f"Applied: {subject} had the planned learning rate in each of {applied.n_batches:,} recorded batches."


def _where(each: Difference) -> str:
    batches = f"batch {each.batch}" if each.n == 1 else f"batches {each.batch} to {each.batch + each.n - 1}"
    return f"epoch {each.epoch}, {batches}" + (f", param group {each.group!r}" if each.group else "")


def _rates(each: Difference) -> str:
    planned, applied = format_lr(each.planned), format_lr(each.applied)
    if planned == applied:
        planned, applied = repr(each.planned), repr(each.applied)
    return f"{planned}, applied {applied}" + (" at the first" if each.n > 1 else "")
