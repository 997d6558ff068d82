"""Schedules made of schedules: warmup before any of them, one after the other, scaled, or annealed when stopped."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import accumulate, chain, count, repeat
from typing import Literal, Self

from clfctl.errors import UsageError
from clfctl.schedules.base import TOLERANCE, Bound, Schedule, Segment, Span, since, whole
from clfctl.schedules.composed_rates import ChainRate, HeldRate, WarmupRate
from clfctl.schedules.durations import Duration
from clfctl.schedules.rates import Rate

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

    def next_look(self, t: float, metrics: Sequence[float] = ()) -> float:
        """Return when the schedule inside looks at what batches showed."""
        return self.inner.next_look(t, metrics)

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
        after = self.inner.given(since(metrics, self.epochs) if self.inner.follows_metrics else (), base_lr)
        return self._before(after, self._top(base_lr))

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        rates = self.inner.by_epoch(since(metrics, self.epochs), base_lr)
        first, top = next(rates), self._top(base_lr)
        # Until the epoch that follows the end of warmup, the schedule inside has seen no metric.
        for after in chain(repeat(first, whole(self.epochs) + 1), rates):
            yield self._before(after, top)

    def _before(self, after: Rate, top: float) -> Rate:
        """Return the warmup to `top`, and then another rate."""
        return WarmupRate(self.epochs, top, self._factor, after)

    def _top(self, base_lr: float) -> float:
        """Return the rate that it rises to."""
        return self.inner.given((), base_lr)(0.0)

    def fitted(self, span: Span) -> Self:
        """Return the warmup of a schedule that is fitted to what is left."""
        left = replace(span, epochs=max(1.0, span.epochs - self.epochs), warmup=self.epochs)
        return replace(self, inner=self.inner.fitted(left))

    def next_look(self, t: float, metrics: Sequence[float] = ()) -> float:
        """Return when the schedule inside looks; its first window begins when warmup ends."""
        if t < self.epochs - TOLERANCE:
            return self.epochs if looks_inside(self.inner) else math.inf
        return self.epochs + self.inner.next_look(max(0.0, t - self.epochs), since(metrics, self.epochs))

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
        return self._by_clock(cache(lambda number: self._part(number, metrics, base_lr)))

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        begun = list[Iterator[Rate]]()
        for epoch in count():
            # Those of earlier parts too: after a warmup that ends inside an epoch, a seam comes as much later.
            while len(begun) < len(self.schedules) and whole(self._starts[len(begun)]) <= epoch:
                begun.append(self._part_by_epoch(len(begun), metrics, base_lr))
            yield self._by_clock([next(rates) for rates in begun].__getitem__)

    def _by_clock(self, part: Callable[[int], Rate]) -> Rate:
        return ChainRate(self._starts, part)

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

    def next_look(self, t: float, metrics: Sequence[float] = ()) -> float:
        """Return when the part of that time looks, or when the next one that does begins, and its first window."""
        ends = [*self._starts[1:], math.inf]
        for (schedule, _), start, end in zip(self.schedules, self._starts, ends, strict=True):
            if t >= end - TOLERANCE or not looks_inside(schedule):
                continue
            if t < start - TOLERANCE:
                return start
            look = start + schedule.next_look(max(0.0, t - start), since(metrics, start))
            if look < end - TOLERANCE:
                return look
        return math.inf

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
        schedule = self.schedules[number][0]
        known = since(metrics, self._starts[number]) if schedule.follows_metrics else ()
        return self._held(number, schedule.given(known, self._beginning(number, metrics, base_lr)))

    def _part_by_epoch(self, number: int, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        known, begins_at = since(metrics, self._starts[number]), self._beginning(number, metrics, base_lr)
        for rate in self.schedules[number][0].by_epoch(known, begins_at):
            yield self._held(number, rate)

    def _held(self, number: int, rate: Rate) -> Rate:
        """Return the rate of a part, which stays at the end of the last part's length; the others are over by then."""
        length = self.schedules[number][1]
        if length is None or number < len(self.schedules) - 1:
            return rate
        return HeldRate(rate, _in_epochs(length))

    def _beginning(self, number: int, metrics: Sequence[float], base_lr: float) -> float:
        """Return the rate that part `number` begins from."""
        return self._end_of(number - 1, metrics, base_lr) if number and self.schedules[number][0].continues else base_lr

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

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        return self.inner.by_epoch(metrics, base_lr * self.factor)


@dataclass(frozen=True)
class Restart(Around):
    """A part of a chain that begins at the base rate again."""

    name = "restart"
    continues = False

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time."""
        return self.inner.given(metrics, base_lr)

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        return self.inner.by_epoch(metrics, base_lr)


def looks_inside(schedule: Schedule) -> bool:
    """Return whether a schedule goes by what batches show inside an epoch."""
    return schedule.next_look(0.0) < math.inf


def _later(segment: Segment, by: float) -> Segment:
    return replace(segment, start=segment.start + by, end=segment.end + by)


def _in_epochs(length: float | Duration | None) -> float:
    """Return a length in epochs, infinite if there is none; raises UsageError for one that is not fitted yet."""
    if isinstance(length, Duration):
        hint = "fit the chain first: chain.fitted(Span(epochs=25, steps_per_epoch=100))"
        raise UsageError(f"the length of {length} depends on the training", hint)
    return math.inf if length is None else length
