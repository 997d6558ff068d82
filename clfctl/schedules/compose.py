"""Schedules made of schedules: warmup before any of them, one after the other, scaled, or annealed when stopped."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Literal, Self

from clfctl.errors import UsageError
from clfctl.schedules.base import TOLERANCE, Bound, Kind, Mode, Rate, Schedule, Segment, Span, since, whole
from clfctl.schedules.durations import Duration
from clfctl.schedules.parameters import parameters_of
from clfctl.schedules.stopping import fired_after

WarmupShape = Literal["linear", "cosine", "exponential"]


@dataclass(frozen=True)
class Around(Bound):
    """A schedule around another, which decides whatever this one does not change."""

    inner: Schedule

    @property
    def follows_metrics(self) -> bool:
        """Whether the rate depends on metrics."""
        return self.inner.follows_metrics

    def fitted(self, span: Span) -> Self:
        """Return the fitted schedule, wrapped the same."""
        return replace(self, inner=self.inner.fitted(span))

    def segments(self, epochs: float) -> list[Segment]:
        """Return the parts of the schedule inside."""
        return self.inner.segments(epochs)


@dataclass(frozen=True)
class Warmup(Around):
    """Rise from `start` times the rate that `inner` begins with, over `epochs`; then `inner`, from its own beginning.

    With s = t / epochs the factor is `start + (1 - start) * s` (Goyal et al. 2017, arXiv:1706.02677), a cosine's half
    in the place of s, or `start ** (1 - s)`. So a linear one from 0 ends epoch e (from 0) at `(e + 1) / epochs`. If
    warmup ends inside an epoch, that epoch is the first whose metric `inner` sees.
    """

    name = "warmup"

    epochs: float
    start: float = 0.0
    shape: WarmupShape = "linear"

    def __post_init__(self) -> None:
        """Raise UsageError for a warmup without length, or an exponential one from nothing."""
        if not self.epochs > 0:
            raise UsageError(f"a warmup must be longer than 0 epochs, not {self.epochs:g}")
        if self.shape == "exponential" and not self.start:
            hint = "use a factor above 0, such as `warmup_start=0.01`"
            raise UsageError("an exponential warmup cannot start at 0: any factor times 0 is 0", hint)

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time."""
        top = self.inner.given((), base_lr)(0.0)
        after = self.inner.given(since(metrics, self.epochs) if self.inner.follows_metrics else (), base_lr)
        epochs, factor = self.epochs, self._factor

        def rate(t: float) -> float:
            return top * factor(t / epochs) if t < epochs - TOLERANCE else after(max(0.0, t - epochs))

        return rate

    def fitted(self, span: Span) -> Self:
        """Return the warmup of a schedule that is fitted to what is left."""
        left = replace(span, epochs=max(1.0, span.epochs - self.epochs), warmup=self.epochs)
        return replace(self, inner=self.inner.fitted(left))

    def segments(self, epochs: float) -> list[Segment]:
        """Return the warmup and what follows."""
        inner = self.inner.segments(max(0.0, epochs - self.epochs))
        warmup = Segment(self.name, 0.0, min(self.epochs, epochs))
        return [warmup, *(_later(each, self.epochs) for each in inner)]

    def _factor(self, share: float) -> float:
        match self.shape:
            case "linear":
                return self.start + (1 - self.start) * share
            case "cosine":
                return self.start + (1 - self.start) * (1 - math.cos(math.pi * share)) / 2
            case "exponential":
                return math.pow(self.start, 1 - share)


@dataclass(frozen=True)
class Chain(Bound):
    """One schedule after another, each for its length (None: unlimited), with its own clock and metrics.

    A part begins at the rate at which the part before it ended, without a jump; one in `Restart` begins at the base
    rate. After the length of the last part the rate stays.
    """

    name = "chain"

    schedules: tuple[tuple[Schedule, float | Duration | None], ...]

    @property
    def follows_metrics(self) -> bool:
        """Whether the rate depends on metrics."""
        return any(schedule.follows_metrics for schedule, _ in self.schedules)

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time; a part is bound when it is first asked for."""
        starts, bound = self._starts, dict[int, Rate]()

        def rate(t: float) -> float:
            number = bisect_right(starts, t + TOLERANCE) - 1
            if number not in bound:
                bound[number] = self._part(number, metrics, base_lr)
            return bound[number](max(0.0, t - starts[number]))

        return rate

    def fitted(self, span: Span) -> Self:
        """Return the chain with every part fitted to its own length, the last to what is left."""
        schedules, start = list[tuple[Schedule, float | None]](), 0.0
        for number, (schedule, length) in enumerate(self.schedules):
            epochs = length.epochs(span) if isinstance(length, Duration) else length
            own = max(1.0, span.epochs - start) if epochs is None else epochs
            of_part = replace(span, epochs=own, warmup=span.warmup if number == 0 else 0.0)
            schedules.append((schedule.fitted(of_part), epochs))
            start += own
        return replace(self, schedules=tuple(schedules))

    def segments(self, epochs: float) -> list[Segment]:
        """Return the parts that begin before the end."""
        found, start = list[Segment](), 0.0
        for schedule, length in self.schedules:
            if start >= epochs:
                break
            end = min(epochs, start + _in_epochs(length))
            found += [_later(each, start) for each in schedule.segments(end - start)]
            start = end
        return found

    def seams(self) -> list[float]:
        """Return the times at which one part follows another."""
        return self._starts[1:]

    @cached_property
    def _starts(self) -> list[float]:
        """When each part begins."""
        return [0.0, *accumulate(_in_epochs(length) for _, length in self.schedules[:-1])]

    def _part(self, number: int, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate of part `number` by its own clock."""
        schedule, length = self.schedules[number]
        begins_at = self._end_of(number - 1, metrics, base_lr) if number and schedule.continues else base_lr
        known = since(metrics, self._starts[number]) if schedule.follows_metrics else ()
        rate = schedule.given(known, begins_at)
        # The last part may have a length, at whose end the rate stays; the others are over before theirs.
        return rate if length is None or number < len(self.schedules) - 1 else _held(rate, _in_epochs(length))

    def _end_of(self, number: int, metrics: Sequence[float], base_lr: float) -> float:
        """Return the rate at which part `number` ends; metrics of later epochs do not count."""
        epochs = _in_epochs(self.schedules[number][1])
        known = metrics[: whole(self._starts[number]) + whole(epochs)]
        return self._part(number, known, base_lr)(epochs)


@dataclass(frozen=True)
class Scaled(Around):
    """A schedule of `factor` times the rate that it would begin from."""

    name = "scaled"

    factor: float

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time."""
        return self.inner.given(metrics, base_lr * self.factor)


@dataclass(frozen=True)
class Restart(Around):
    """A part of a chain that begins at the base rate again."""

    name = "restart"
    continues = False

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time."""
        return self.inner.given(metrics, base_lr)


@dataclass(frozen=True)
class Cooldown(Around):
    """When early stopping fires, anneal to `eta_min` along a cosine over `epochs` more epochs instead of stopping.

    A cosine cut off by early stopping never reaches its low rates, which bring much of its gain. Training ends after
    `end` epochs at the latest: if fewer are left, the cooldown is shortened to fit.
    """

    name = "cooldown"
    follows_metrics = True  # goes by early stopping, whatever is inside

    epochs: int
    patience: int
    mode: Mode
    eta_min: float = 0.0
    end: float = math.inf

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time."""
        before_it = self.inner.given(metrics, base_lr)
        fired = fired_after(metrics, self.patience, self.mode)
        if fired is None or fired >= self.end:
            return before_it
        since_fired, length = fired, min(self.epochs, self.end - fired)
        top, lowest = self.inner.given(metrics[:fired], base_lr)(fired), self.eta_min

        def rate(t: float) -> float:
            if t < since_fired - TOLERANCE:
                return before_it(t)
            share = min(1.0, (t - since_fired) / length)
            return lowest + (top - lowest) * (1 + math.cos(math.pi * share)) / 2

        return rate


def lowest_rate(schedule: Schedule) -> float:
    """Return the lowest learning rate that a schedule was given, 0 if none; of several parts that of the last."""
    match schedule:
        case Warmup(inner=inner) | Scaled(inner=inner) | Restart(inner=inner):
            return lowest_rate(inner)
        case Chain(schedules=schedules):
            return lowest_rate(schedules[-1][0])
        case Kind():
            stated = (getattr(schedule, p.name) for p in parameters_of(type(schedule)) if p.option == "eta_min")
            return float(next(stated, 0.0))
    return 0.0


def _held(rate: Rate, epochs: float) -> Rate:
    return lambda t: rate(min(t, epochs))


def _later(segment: Segment, by: float) -> Segment:
    return replace(segment, start=segment.start + by, end=segment.end + by)


def _in_epochs(length: float | Duration | None) -> float:
    """Return a length in epochs, infinite if there is none; raises UsageError for one that is not fitted yet."""
    if isinstance(length, Duration):
        hint = "fit the chain first: chain.fitted(Span(epochs=25, steps_per_epoch=100))"
        raise UsageError(f"the length of {length} depends on the training", hint)
    return math.inf if length is None else length
