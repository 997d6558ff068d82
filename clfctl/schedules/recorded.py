"""What a training records for its schedules: the metric of every finished epoch, and what windows of batches show."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

from clfctl.errors import UsageError

# `epoch + batch / n - start` misses a whole number by a few units in the last place. No batch is that short.
TOLERANCE = 1e-10

# Every look goes over all that were before it, and each of them is kept.
MOST_LOOKS = 100_000


class Window(NamedTuple):
    """What the batches from `start` to `end`, in epochs, showed: `n` of them, those that were trained on.

    `loss` is the mean of their training losses, `norm` that of the norms of their gradients before clipping (NaN: not
    known). With the batches numbered by x and their losses y, `trend` is the sum of (x - mean x) (y - mean y), `spread`
    that of (y - mean y)^2: what a line through the losses is made of, and what windows that follow each other add up
    to without the batches.
    """

    start: float
    end: float
    n: int
    loss: float
    norm: float
    trend: float = 0.0
    spread: float = 0.0


@dataclass(frozen=True)
class Recorded(Sequence[float]):
    """The monitored metric of every finished epoch, as a sequence, and beside it the `windows` of batches in order.

    There may be windows of the running epoch, and of later ones where a finished run is looked at again: a rate at `t`
    goes by those that end by then. A slice from the beginning keeps them; `since` gives both another beginning.
    """

    metrics: Sequence[float] = ()
    windows: tuple[Window, ...] = ()

    def __len__(self) -> int:
        return len(self.metrics)

    def __iter__(self) -> Iterator[float]:
        return iter(self.metrics)

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...
    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        if isinstance(index, slice) and index.start in (None, 0) and index.step in (None, 1):
            return Recorded(self.metrics[index], self.windows)
        return self.metrics[index]


def windows_of(metrics: Sequence[float]) -> tuple[Window, ...]:
    """Return the windows recorded beside metrics; none beside numbers alone."""
    return metrics.windows if isinstance(metrics, Recorded) else ()


def since(metrics: Sequence[float], start: float) -> Sequence[float]:
    """Return what was recorded from `start` on, on a clock that begins there.

    The metric of the epoch that `start` lies in counts, a window that begins before `start` does not.
    """
    later = (metrics.metrics if isinstance(metrics, Recorded) else metrics)[max(0, math.floor(start + TOLERANCE)) :]
    if not windows_of(metrics):
        return later
    mine = (each for each in windows_of(metrics) if each.start >= start - TOLERANCE)
    moved = tuple(each._replace(start=each.start - start, end=each.end - start) for each in mine)
    return Recorded(later, moved)


def moved(metrics: Sequence[float], by: float) -> Sequence[float]:
    """Return what was recorded with its windows on a clock that began `by` epochs before; metrics stay as they are."""
    if not windows_of(metrics):
        return metrics
    windows = tuple(each._replace(start=each.start + by, end=each.end + by) for each in windows_of(metrics))
    return Recorded(metrics.metrics if isinstance(metrics, Recorded) else metrics, windows)


def next_multiple(t: float, every: float) -> float:
    """Return the first multiple of `every` after `t`."""
    return (math.floor(t / every + TOLERANCE) + 1) * every


def refuse_too_many(name: str, length: float, between: float) -> None:
    """Raise UsageError for what looks more often in `length` epochs than can be gone over."""
    number = length / between if between else 0
    if number > MOST_LOOKS:
        what = f"{name} looks {number:,.0f} times in {length:g} epochs, and at most {MOST_LOOKS:,} are allowed"
        times = math.ceil(number / MOST_LOOKS - TOLERANCE)
        raise UsageError(what, f"make the time between two looks {times} times as long")


def looks(windows: Iterable[Window], every: float) -> Iterator[Window]:
    """Yield the windows put together to those that end at each multiple of `every` epochs.

    Where none ends there, the first that ends later does.
    """
    seen, due = None, next_multiple(0.0, every)
    for window in windows:
        seen = joined(seen, window) if seen else window
        if window.end >= due - TOLERANCE:
            yield seen
            seen, due = None, next_multiple(window.end, every)


def joined(first: Window, second: Window) -> Window:
    """Return two windows that follow each other as one."""
    if not first.n or not second.n:
        shown = first if first.n else second
        return shown._replace(start=first.start, end=second.end)
    n = first.n + second.n
    higher, share = second.loss - first.loss, first.n * second.n / n
    return Window(
        first.start,
        second.end,
        n,
        first.loss + higher * second.n / n,
        _mean_of_known(first, second),
        first.trend + second.trend + n / 2 * higher * share,  # their middles are n / 2 batches apart
        first.spread + second.spread + higher * higher * share,
    )


def _mean_of_known(first: Window, second: Window) -> float:
    if math.isnan(first.norm) or math.isnan(second.norm):
        return second.norm if math.isnan(first.norm) else first.norm
    return (first.norm * first.n + second.norm * second.n) / (first.n + second.n)


def summary(start: float, end: float, losses: Sequence[float], norms: Sequence[float]) -> Window:
    """Return the window of the batches that were trained on from `start` to `end`; norms that are not finite are not
    counted: half precision leaves such a step out.
    """
    n, finite = len(losses), [norm for norm in norms if math.isfinite(norm)]
    norm = math.fsum(finite) / len(finite) if finite else math.nan
    if not n:
        return Window(start, end, 0, math.nan, norm)
    mean, middle = math.fsum(losses) / n, (n - 1) / 2
    trend = math.fsum((x - middle) * (y - mean) for x, y in enumerate(losses))
    return Window(start, end, n, mean, norm, trend, math.fsum((y - mean) ** 2 for y in losses))
