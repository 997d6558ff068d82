"""Curves as text: one braille character holds two by four dots."""

import math
from collections.abc import Callable, Iterator, Sequence

from clfctl.display.axes import Axis, format_lr, number, x_axis, x_lines, y_axis, y_labels
from clfctl.display.marks import BOLD, DIM, Layer, Piece, join, letter_of, paint, place_letters, style_of
from clfctl.display.stretches import Stretch, stretch_line

__all__ = ["Points", "Stretch", "draw_curve", "format_lr", "letter_of", "paint"]

Points = Sequence[tuple[float, float]]

# Bit of each dot in U+2800: the first three rows were numbered before the fourth was added.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_MIN_PLOT_WIDTH = 4


def draw_curve(
    series: Sequence[Points],
    width: int,
    height: int,
    *,
    marker: float | None = None,
    log: bool = False,
    x_label: str = "epochs",
    x_text: Callable[[float], str] = number,
    stretches: Sequence[Stretch] = (),
    letters: bool = False,
    color: bool = False,
    from_zero: bool = True,
) -> list[str]:
    """Return at most `height` lines of at most `width` columns that show all series of (x, y) on the same axes.

    A linear y axis starts at 0, or at the least value if not `from_zero`. On a logarithmic one values of 0 and less lie
    on the lower edge; it becomes linear if no value is positive. Points that are not finite leave a gap. `marker` is
    the x that a `▲` in the x axis points at. `x_text` writes the numbers under the axis.
    `stretches` are labelled in one more line under the axis. `letters` puts A, B, C, … on the curves, at most 26.
    `color` gives every series the colour that `paint` has for its index; without it there is no escape sequence.
    """
    if width < 1 or height < 1:
        return []
    points = [point for each in series for point in each if _finite(point)]
    times = x_axis([x for x, _ in points])
    rates = y_axis([y for _, y in points], log, from_zero=from_zero)
    n_rows = max(1, height - (3 if stretches else 2))
    labels = y_labels(rates, n_rows) if points else [""] * n_rows
    label_width = max(map(len, labels))
    if width - label_width - 2 < _MIN_PLOT_WIDTH:
        labels, label_width = [""] * n_rows, 0
    border = 1 if width > 1 else 0
    margin = label_width + (1 if label_width else 0) + border
    n_columns = width - margin
    cells = _cells(series, times, rates, n_columns, n_rows, letters)
    lines: list[list[Piece]] = [
        [(label.rjust(label_width), ""), ((" ┤" if label else " │") if label_width else "│"[:border], DIM), *row]
        for label, row in zip(labels, cells, strict=True)
    ]
    ruler, numbers = x_lines(times, n_columns, marker, x_label, x_text)
    styled_ruler = [(each, BOLD if each == "▲" else DIM) for each in ruler]
    lines += [[(" " * (margin - border) + "└"[:border], DIM), *styled_ruler], [(" " * margin + numbers, "")]]
    if stretches:
        parts = stretch_line(stretches, times, n_columns)
        lines.append([(" " * margin, ""), *((each, DIM if each in "├─┤│" else "") for each in parts)])
    return [join(line, color) for line in lines[:height]]


def _finite(point: tuple[float, float]) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1])


def _cells(
    series: Sequence[Points], times: Axis, rates: Axis, n_columns: int, n_rows: int, letters: bool
) -> list[list[Piece]]:
    """Return the rows of the plot, cell by cell, each in the style of the series with the most dots in it."""
    layers = [_layer(points, times, rates, n_columns, n_rows) for points in series]
    rows: list[list[Piece]] = [[(" ", "")] * n_columns for _ in range(n_rows)]
    for row, column in {cell for layer in layers for cell in layer}:
        dots = [layer.get((row, column), 0) for layer in layers]
        most = max(each.bit_count() for each in dots)
        owners = [i for i, each in enumerate(dots) if each.bit_count() == most]
        owner = owners[(column // 2 + row) % len(owners)]  # curves that lie on each other become dashes in both colours
        both = 0
        for each in dots:
            both |= each
        rows[row][column] = chr(0x2800 + both), style_of(owner)
    if letters:
        for (row, column), index in place_letters(layers, n_rows).items():
            rows[row][column] = letter_of(index), style_of(index, bold=True)
    return rows


def _layer(points: Points, times: Axis, rates: Axis, n_columns: int, n_rows: int) -> Layer:
    """Return the cells that one polyline passes, with the bits of its dots."""
    layer: dict[tuple[int, int], int] = {}
    previous: tuple[int, int] | None = None
    for point in points:
        if not _finite(point):
            previous = None
            continue
        dot = times.place(point[0], 2 * n_columns), 4 * n_rows - 1 - rates.place(point[1], 4 * n_rows)
        if dot == previous:
            continue
        for x, y in _line(previous or dot, dot):
            cell = y // 4, x // 2
            layer[cell] = layer.get(cell, 0) | _DOTS[y % 4][x % 2]
        previous = dot
    return layer


def _line(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    dx, dy = end[0] - start[0], end[1] - start[1]
    n = max(abs(dx), abs(dy), 1)
    for i in range(n + 1):
        yield start[0] + round(dx * i / n), start[1] + round(dy * i / n)
