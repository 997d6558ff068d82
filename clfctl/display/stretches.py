"""The parts of a training (warmup, cosine, …) as one line of labels under the axis of a curve."""

from collections.abc import Sequence
from dataclasses import dataclass

from clfctl.display.axes import Axis


@dataclass(frozen=True)
class Stretch:
    """A part of the x axis, from `start` to `end` in its units, and what it is called."""

    label: str
    start: float
    end: float


def stretch_line(stretches: Sequence[Stretch], axis: Axis, n_columns: int) -> str:
    """Return `├warmup┤├── cosine ──┤`: each stretch under its part of the axis, none over another.

    A label too long for its stretch is shortened, then left out; a stretch of one column is a mark. Stretches outside
    the axis, and more stretches than columns, are left out.
    """
    inside = [each for each in stretches if each.start <= axis.high and each.end > axis.low and each.start <= each.end]
    inside = sorted(inside, key=lambda each: (each.start, each.end))[:n_columns]
    lefts: list[int] = []
    for i, stretch in enumerate(inside):
        left = axis.place(stretch.start, 2 * n_columns) // 2
        after_the_last = lefts[-1] + 1 if lefts else 0
        lefts.append(min(max(left, after_the_last), n_columns - len(inside) + i))  # those to come need a column each
    line = [" "] * n_columns
    for stretch, left, next_left in zip(inside, lefts, [*lefts, n_columns][1:], strict=True):
        end = axis.place(stretch.end, 2 * n_columns) // 2
        right = min(end - 1 if stretch.end < axis.high else end, next_left - 1)
        line[left : max(left, right) + 1] = _bracket(stretch.label, max(left, right) - left + 1)
    return "".join(line)


def _bracket(label: str, width: int) -> str:
    if width < 2:
        return "│"
    room = width - 2
    if room < len(label) and width >= 4:  # the bracket that ends it gives its place to one letter more
        return "├" + (label if len(label) < width else label[: width - 2] + "…")
    if len(label) + 4 <= room:  # with a dash at each side at least, or the spaces look like gaps
        label = f" {label} "
    label = label if len(label) <= room else ""
    left = (room - len(label)) // 2
    return "├" + "─" * left + label + "─" * (room - len(label) - left) + "┤"
