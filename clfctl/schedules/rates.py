"""Rates as functions of time, and what is left of one within a stretch of it, such as an epoch: fewer decisions."""

from abc import ABC, abstractmethod
from collections.abc import Callable

Rate = Callable[[float], float]
"""The learning rate as a function of time alone: base rate and metrics are bound already."""


class Steady:
    """The rate that is `lr` at any time."""

    __slots__ = ("lr",)

    def __init__(self, lr: float) -> None:
        self.lr = lr

    def __call__(self, _t: float) -> float:
        """Return the rate."""
        return self.lr


class Deciding(ABC):
    """A rate that decides by the time what it is."""

    @abstractmethod
    def __call__(self, t: float) -> float:
        """Return the rate at `t`."""

    @abstractmethod
    def within(self, start: float, last: float) -> Rate:
        """Return what is the same to the bit at every time from `start` to `last`, both included."""


def within(rate: Rate, start: float, last: float) -> Rate:
    """Return a rate that is the same to the bit from `start` to `last`, and found faster where there is one."""
    return rate.within(start, last) if isinstance(rate, Deciding) else rate


class _Later:
    """A rate by a clock that began `by` epochs before its own."""

    __slots__ = ("by", "rate")

    def __init__(self, rate: Rate, by: float) -> None:
        self.rate, self.by = rate, by

    def __call__(self, t: float) -> float:
        return self.rate(t - self.by)


def later(rate: Rate, by: float) -> Rate:
    """Return a rate by a clock that began `by` epochs before its own, for times after that."""
    return rate if isinstance(rate, Steady) else _Later(rate, by)


def at_all(rate: Rate, times: list[float]) -> list[float]:
    """Return the rate at some times, in ascending order."""
    if not times:
        return []
    rate = within(rate, times[0], times[-1])
    if isinstance(rate, Steady):
        return [rate.lr] * len(times)
    while isinstance(rate, _Later):  # one clock after the other for all times, which is faster than one time by all
        by, rate = rate.by, rate.rate
        times = [t - by for t in times]
    return [*map(rate, times)]
