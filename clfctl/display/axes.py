"""The axes of curves drawn as text: limits, and round numbers beside and under them."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

# A log axis ends here below its highest value: a cosine's last batch before 0 would squeeze all others into the top.
_LOG_RANGE = 1e-8


@dataclass(frozen=True)
class Axis:
    """What lies between `low` and `high`; `more_below` if values under `low` are drawn on the edge."""

    low: float
    high: float
    log: bool = False
    more_below: bool = False

    def place(self, value: float, n: int) -> int:
        """Return the index of `value` among `n` dots from low to high; values outside go to the nearest end."""
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(min(1.0, max(0.0, share)) * (n - 1))


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


def x_axis(values: Sequence[float]) -> Axis:
    """Return the axis of these times; one that spans an epoch or more begins and ends with a whole one."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low >= 1:  # a curve sampled up to 24.9 is one of 25 epochs
        low, high = float(math.floor(low)), float(math.ceil(high))
    return Axis(low, high if high > low else low + max(1.0, abs(low)))


def y_axis(values: Sequence[float], log: bool, *, from_zero: bool = True) -> Axis:
    """Return the axis of these values: from 0 or, not `from_zero`, from the least; or logarithmic from that above 0."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    if log and high > 1e-290:  # further down floats lose their digits
        least = max(min(value for value in values if value > 0), high * _LOG_RANGE)
        if low < least:  # the edge stands for more than one value: a round number says that better
            return Axis(_rounded_down(min(least, high / 10)), high, log=True, more_below=True)
        return Axis(least if high / least > 1.001 else high / 10, high, log=True)
    if from_zero or high <= low:
        low, high = min(0.0, low), max(0.0, high)
    return Axis(low, high if high > low else low + 1)


def y_labels(axis: Axis, n_rows: int) -> list[str]:
    """Return the text beside each row from the top: both ends, and round numbers in the rows that they lie in."""
    shown = dict[int, float]()
    gap = max(2 if n_rows < 7 else 3, n_rows // 5)
    for ticks in _y_ticks(axis) if n_rows >= 5 else ():
        rows = [n_rows - 1 - axis.place(tick, 4 * n_rows) // 4 for tick in ticks]
        if all(above >= below + gap for below, above in zip(rows[1:], rows, strict=False)):
            for row, tick in zip(rows, ticks, strict=True):
                if 2 <= row <= n_rows - 3:
                    shown[row] = tick
            break
    shown |= {n_rows - 1: axis.low, 0: axis.high}
    texts = dict(zip(shown, _told_apart([*shown.values()]), strict=True))
    if axis.more_below:
        texts[n_rows - 1] = f"≤{texts[n_rows - 1]}" if n_rows > 1 else texts[0]
    return [texts.get(row, "") for row in range(n_rows)]


def _told_apart(values: Sequence[float]) -> list[str]:
    """Return numbers with three digits, or as many as tell them apart: on a narrow axis all would be 2.3."""
    texts = [format_lr(each) for each in values]
    for digits in range(4, 10):
        if len({*texts}) == len({*values}):
            break
        texts = [f"{each:.{digits}g}" for each in values]
    return texts


def number(value: float) -> str:
    """Return a number as it stands at an axis."""
    return f"{value:.6g}"


def x_lines(
    axis: Axis, n_columns: int, marker: float | None, x_label: str, x_text: Callable[[float], str] = number
) -> tuple[str, str]:
    """Return the ruler with its ticks and the marker, and under it what `x_text` makes of them."""
    ruler, numbers = ["─"] * n_columns, [" "] * n_columns
    last = f"{x_text(axis.high)} {x_label}".rstrip()
    last = last if len(last) <= n_columns else last.removesuffix(x_label).rstrip()
    if len(last) <= n_columns:
        numbers[n_columns - len(last) :] = last
    free_until = n_columns - len(last) - 1
    for tick in _x_ticks(axis, n_columns):
        column = axis.place(tick, 2 * n_columns) // 2
        ruler[column] = "┬"
        text = x_text(tick)
        if column + len(text) <= free_until:
            numbers[column : column + len(text)] = text
    if marker is not None and math.isfinite(marker):
        ruler[axis.place(marker, 2 * n_columns) // 2] = "▲"
    return "".join(ruler), "".join(numbers)


def _y_ticks(axis: Axis) -> Iterator[list[float]]:
    """Yield round numbers between the ends in rising order, from the densest set to the sparsest."""
    if not (axis.low > 1e-290 if axis.log else axis.high - axis.low > 1e-290) or axis.high - axis.low > 1e290:
        return  # floats have no digits to round left, or no room
    if axis.log:
        exponents = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
        sets = [[digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]]
        sets += [[10.0**exponent for exponent in exponents if exponent % every == 0] for every in (1, 2, 3)]
    else:
        step = 10.0 ** (math.floor(math.log10(axis.high - axis.low)) - 1)
        steps = [factor * step for factor in (1, 2, 2.5, 5, 10, 20, 25, 50)]
        sets = [[i * each for i in range(math.ceil(axis.low / each), int(axis.high / each) + 1)] for each in steps]
    yield from ([tick for tick in ticks if axis.low < tick < axis.high] for ticks in sets)


def _x_ticks(axis: Axis, n_columns: int) -> list[float]:
    """Return round numbers from low to high, at least eight columns apart; high itself is labelled apart."""
    span = axis.high - axis.low
    least = span * 8 / n_columns
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
    if span >= 1:
        step = max(1.0, step)  # no half epochs
    first, last = math.ceil(axis.low / step), math.floor(axis.high / step)
    return [i * step for i in range(first, last + 1)]


def _rounded_down(value: float) -> float:
    """Return the next number below that begins with 1, 2 or 5, or the value itself."""
    power = 10.0 ** math.floor(math.log10(value))
    return max((digit * power for digit in (1, 2, 5) if 0 < digit * power <= value), default=value)
