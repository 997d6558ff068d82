"""Curves as text: one braille character holds two by four dots."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]

# Bit of each dot in U+2800: the first three rows were numbered before the fourth was added.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_MIN_PLOT_WIDTH = 4


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    log: bool = False

    def place(self, value: float, n: int) -> int:
        """Return the index of `value` among `n` dots from low to high; values outside go to the nearest end."""
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(min(1.0, max(0.0, share)) * (n - 1))

    @property
    def middle(self) -> float:
        return math.sqrt(self.low) * math.sqrt(self.high) if self.log else (self.low + self.high) / 2


def draw_curve(
    series: Sequence[Points],
    width: int,
    height: int,
    *,
    marker: float | None = None,
    log: bool = False,
    x_label: str = "epochs",
) -> list[str]:
    """Return `height` lines of at most `width` columns that show all series of (x, y) on the same axes.

    A linear y axis starts at 0. On a logarithmic one values of 0 and less lie on the lower edge; it becomes linear if
    no value is positive. Points that are not finite leave a gap. `marker` is the x that a `▲` in the x axis points at.
    """
    if width < 1 or height < 1:
        return []
    series = [list(points) for points in series]
    points = [point for each in series for point in each if _finite(point)]
    x_axis = _x_axis([x for x, _ in points])
    y_axis = _y_axis([y for _, y in points], log)
    n_rows = max(1, height - 2)
    labels = _y_labels(y_axis, n_rows) if points else [""] * n_rows
    label_width = max(map(len, labels))
    if width - label_width - 2 < _MIN_PLOT_WIDTH:
        labels, label_width = [""] * n_rows, 0
    border = 1 if width > 1 else 0
    margin = label_width + (1 if label_width else 0) + border
    n_columns = width - margin
    cells = _cells(series, x_axis, y_axis, n_columns, n_rows)
    lines = [
        label.rjust(label_width) + ((" ┤" if label else " │") if label_width else "│"[:border]) + row
        for label, row in zip(labels, cells, strict=True)
    ]
    ruler, numbers = _x_lines(x_axis, n_columns, marker, x_label)
    lines += [" " * (margin - border) + "└"[:border] + ruler, " " * margin + numbers]
    return [line.rstrip() for line in lines[:height]]


def format_lr(lr: float) -> str:
    """Return a learning rate in at most 8 characters: `0.1`, `1e-04`, `1.5e-04`; three digits at most."""
    if not math.isfinite(lr):
        return str(lr)
    for digits in (2, 1, 0):
        rounded = float(f"{lr:.{digits}e}")
        if rounded == 0 or 1e-3 <= abs(rounded) < 1e3:
            text = f"{rounded:.3g}"
        else:
            mantissa, exponent = f"{lr:.{digits}e}".split("e")
            text = (mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa) + "e" + exponent
        if len(text) <= 8:
            break
    return "0" if rounded == 0 else text


def _finite(point: tuple[float, float]) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1])


def _x_axis(values: Sequence[float]) -> _Axis:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low >= 1:  # a curve sampled up to 24.9 is one of 25 epochs
        low, high = float(math.floor(low)), float(math.ceil(high))
    return _Axis(low, high if high > low else low + max(1.0, abs(low)))


def _y_axis(values: Sequence[float], log: bool) -> _Axis:
    positive = [value for value in values if value > 0]
    if log and positive:
        low, high = min(positive), max(positive)
        return _Axis(low, high, log=True) if high / low > 1.001 else _Axis(low / 10, low, log=True)
    low, high = min(0.0, min(values, default=0.0)), max(0.0, max(values, default=0.0))
    return _Axis(low, high if high > low else low + 1)


def _y_labels(axis: _Axis, n_rows: int) -> list[str]:
    labels = [""] * n_rows
    if n_rows >= 5 and n_rows % 2:  # no middle row among an even number
        labels[n_rows // 2] = format_lr(axis.middle)
    labels[-1] = format_lr(axis.low)
    labels[0] = format_lr(axis.high)
    return labels


def _cells(series: Sequence[Points], x_axis: _Axis, y_axis: _Axis, n_columns: int, n_rows: int) -> list[str]:
    bits = [[0] * n_columns for _ in range(n_rows)]
    for points in series:
        previous: tuple[int, int] | None = None
        for point in points:
            if not _finite(point):
                previous = None
                continue
            dot = x_axis.place(point[0], 2 * n_columns), 4 * n_rows - 1 - y_axis.place(point[1], 4 * n_rows)
            for x, y in _line(previous or dot, dot):
                bits[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
            previous = dot
    return ["".join(chr(0x2800 + cell) if cell else " " for cell in row) for row in bits]


def _line(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    dx, dy = end[0] - start[0], end[1] - start[1]
    n = max(abs(dx), abs(dy), 1)
    for i in range(n + 1):
        yield start[0] + round(dx * i / n), start[1] + round(dy * i / n)


def _x_lines(axis: _Axis, n_columns: int, marker: float | None, x_label: str) -> tuple[str, str]:
    """Return the ruler with its ticks and the marker, and the numbers under it."""
    ruler, numbers = ["─"] * n_columns, [" "] * n_columns
    last = f"{axis.high:.6g} {x_label}".rstrip()
    last = last if len(last) <= n_columns else last.removesuffix(x_label).rstrip()
    if len(last) <= n_columns:
        numbers[n_columns - len(last) :] = last
    free_until = n_columns - len(last) - 1
    for tick in _ticks(axis, n_columns):
        column = axis.place(tick, 2 * n_columns) // 2
        ruler[column] = "┬"
        text = f"{tick:.6g}"
        if column + len(text) <= free_until:
            numbers[column : column + len(text)] = text
    if marker is not None and math.isfinite(marker):
        ruler[axis.place(marker, 2 * n_columns) // 2] = "▲"
    return "".join(ruler), "".join(numbers)


def _ticks(axis: _Axis, n_columns: int) -> list[float]:
    """Return round numbers from low to high, at least eight columns apart; high itself is labelled apart."""
    span = axis.high - axis.low
    least = span * 8 / n_columns
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
    if span >= 1:
        step = max(1.0, step)  # no half epochs
    first, last = math.ceil(axis.low / step), math.floor(axis.high / step)
    return [i * step for i in range(first, last + 1)]
