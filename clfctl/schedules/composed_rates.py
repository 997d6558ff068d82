"""The rates of schedules that are made of schedules: which of them it is at a time, or for a whole stretch of it."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from clfctl.schedules.base import TOLERANCE
from clfctl.schedules.rates import Deciding, Rate, Steady, later, within


class WarmupRate(Deciding):
    """A rise to `top` over `epochs`, by a `factor` of the share of it that is done; then the rate `after` it."""

    def __init__(self, epochs: float, top: float, factor: Callable[[float], float], after: Rate) -> None:
        self.epochs, self.top, self.factor, self.after = epochs, top, factor, after

    def __call__(self, t: float) -> float:
        """Return the rate at `t` epochs."""
        if t < self.epochs - TOLERANCE:
            return self.top * self.factor(t / self.epochs)
        return self.after(max(0.0, t - self.epochs))

    def within(self, start: float, last: float) -> Rate:
        """Return what comes after warmup, where it is over all the time."""
        if start < self.epochs:
            return self
        return later(within(self.after, start - self.epochs, last - self.epochs), self.epochs)


class ChainRate(Deciding):
    """Rates one after the other: `part` returns them by number, and each begins at one of the `starts`."""

    def __init__(self, starts: Sequence[float], part: Callable[[int], Rate]) -> None:
        self.starts, self.part = starts, part

    def __call__(self, t: float) -> float:
        """Return the rate at `t` epochs."""
        number = self._at(t)
        return self.part(number)(max(0.0, t - self.starts[number]))

    def within(self, start: float, last: float) -> Rate:
        """Return the part, where it is the same one all the time."""
        number = self._at(start)
        begins = self.starts[number]
        if start < begins or number != self._at(last):
            return self
        return later(within(self.part(number), start - begins, last - begins), begins)

    def _at(self, t: float) -> int:
        return bisect_right(self.starts, t + TOLERANCE) - 1


class HeldRate(Deciding):
    """A rate that stays as it is after `end`."""

    def __init__(self, rate: Rate, end: float) -> None:
        self.rate, self.end = rate, end

    def __call__(self, t: float) -> float:
        """Return the rate at `t` epochs."""
        return self.rate(min(t, self.end))

    def within(self, start: float, last: float) -> Rate:
        """Return the rate before the end, or the one that it keeps."""
        if start >= self.end:
            return Steady(self.rate(self.end))
        return within(self.rate, start, last) if last <= self.end else self
