"""Schedules made of schedules: warmup before any of them, one after the other, scaled, or annealed when stopped."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Literal, Self

from clfctl.errors import UsageError
from clfctl.schedules.base import TOLERANCE, Mode, Part, Schedule, Span, remember_latest, since, whole
from clfctl.schedules.durations import Duration
from clfctl.schedules.stopping import fired_after

WarmupShape = Literal["linear", "cosine", "exponential"]


class Around(Schedule):
    """A schedule around another: what it does not change is that of the other."""

    inner: Schedule

    @property
    def follows_metrics(self) -> bool:  # type: ignore[override]  # a property of what is inside
        """Whether the rate depends on metrics."""
        return self.inner.follows_metrics

    def fitted(self, span: Span) -> Self:
        """Return the fitted schedule, wrapped the same."""
        return replace(self, inner=self.inner.fitted(span))  # type: ignore[type-var]  # subclasses are dataclasses

    def parts(self, epochs: float) -> list[Part]:
        """Return the parts of the schedule inside."""
        return self.inner.parts(epochs)


@dataclass(frozen=True)
class Warmup(Around):
    """Rise from `start` times the rate that `inner` begins with, over `epochs`; then `inner`, from its own beginning.

    With s = t / epochs the factor is `start + (1 - start) * s` (Goyal et al. 2017, arXiv:1706.02677), a cosine's half
    in the place of s, or `start ** (1 - s)`. So a linear one from 0 ends epoch e (from 0) at `(e + 1) / epochs`. The
    epoch that warmup ends in, when it ends inside one, is the first whose metric `inner` sees.
    """

    name = "warmup"

    inner: Schedule
    epochs: float
    start: float = 0.0
    shape: WarmupShape = "linear"

    def __post_init__(self) -> None:
        """Raise UsageError for a warmup without length, or an exponential one from nothing."""
        if not self.epochs > 0:
            raise UsageError(f"a warmup of {self.epochs:g} epochs is none")
        if self.shape == "exponential" and not self.start:
            hint = "give --warmup-start a factor above 0, such as 0.01"
            raise UsageError("an exponential warmup cannot begin at 0: nothing multiplied is more", hint)

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate at `t` epochs."""
        if t < self.epochs - TOLERANCE:
            return self.inner.lr(base_lr, 0.0) * self._factor(t / self.epochs)
        known = since(metrics, self.epochs) if self.inner.follows_metrics else ()
        return self.inner.lr(base_lr, max(0.0, t - self.epochs), known)

    def fitted(self, span: Span) -> Self:
        """Return the warmup of a schedule that is fitted to what is left."""
        left = replace(span, epochs=max(1.0, span.epochs - self.epochs), warmup=self.epochs)
        return replace(self, inner=self.inner.fitted(left))

    def parts(self, epochs: float) -> list[Part]:
        """Return the warmup and what follows."""
        inner = self.inner.parts(max(0.0, epochs - self.epochs))
        warmup = Part(self.name, 0.0, min(self.epochs, epochs))
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
class Chain(Schedule):
    """One schedule after another, each for its length (None: for ever), with its own clock and metrics.

    A part begins at the rate at which the part before it ended, so that nothing jumps; one in `Restart` begins at the
    base rate. After the length of the last part the rate stays.
    """

    name = "chain"

    schedules: tuple[tuple[Schedule, float | Duration | None], ...]

    @property
    def follows_metrics(self) -> bool:  # type: ignore[override]  # a property of what is inside
        """Whether the rate depends on metrics."""
        return any(schedule.follows_metrics for schedule, _ in self.schedules)

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate at `t` epochs."""
        number = bisect_right(self._starts, t + TOLERANCE) - 1
        start, epochs, schedule, follows_metrics, continues = self._links[number]
        begins_at = self._base(number, base_lr, metrics) if continues else base_lr
        known = since(metrics, start) if follows_metrics else ()
        return schedule.lr(begins_at, min(max(0.0, t - start), epochs), known)

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

    def parts(self, epochs: float) -> list[Part]:
        """Return the parts that begin before the end."""
        found, start = list[Part](), 0.0
        for schedule, length in self.schedules:
            if start >= epochs:
                break
            end = min(epochs, start + _in_epochs(length))
            found += [_later(each, start) for each in schedule.parts(end - start)]
            start = end
        return found

    def seams(self) -> list[float]:
        """Return the times at which one part follows another."""
        return self._starts[1:]

    @cached_property
    def _starts(self) -> list[float]:
        """When each part begins."""
        return [0.0, *accumulate(_in_epochs(length) for _, length in self.schedules[:-1])]

    @cached_property
    def _links(self) -> list[tuple[float, float, Schedule, bool, bool]]:
        """Of each part: begin, length, schedule, whether it follows metrics, whether it goes on from another."""
        return [
            (start, _in_epochs(length), schedule, schedule.follows_metrics, number > 0 and schedule.continues)
            for number, (start, (schedule, length)) in enumerate(zip(self._starts, self.schedules, strict=True))
        ]

    @cached_property
    def _known_bases(self) -> dict[tuple[int, float], float]:
        """What parts begin from, for those whose predecessors depend on time alone."""
        return {}

    def _base(self, number: int, base_lr: float, metrics: Sequence[float]) -> float:
        """Return what part `number` begins from."""
        if number == 0 or not self._links[number][4]:
            return base_lr
        if (known_rate := self._known_bases.get((number, base_lr))) is not None:
            return known_rate
        start, epochs, schedule, *_ = self._links[number - 1]
        rate = schedule.lr(self._base(number - 1, base_lr, metrics), epochs, since(metrics, start)[: whole(epochs)])
        if not any(earlier.follows_metrics for earlier, _ in self.schedules[:number]):
            self._known_bases[number, base_lr] = rate
        return rate


@dataclass(frozen=True)
class Scaled(Around):
    """A schedule of `factor` times the rate that it would begin from."""

    name = "scaled"

    inner: Schedule
    factor: float

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate at `t` epochs."""
        return self.inner.lr(base_lr * self.factor, t, metrics)


@dataclass(frozen=True)
class Restart(Around):
    """A part of a chain that begins at the base rate again."""

    name = "restart"
    continues = False

    inner: Schedule

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate at `t` epochs."""
        return self.inner.lr(base_lr, t, metrics)


@dataclass(frozen=True)
class Cooldown(Around):
    """When early stopping fires, anneal to `eta_min` along a cosine over `epochs` more epochs instead of stopping.

    A cosine that early stopping cuts off never reaches its low rates, where much of its gain is made. The training
    ends after `end` epochs at the latest: with less left, the cooldown is as much shorter.
    """

    name = "cooldown"
    follows_metrics = True  # goes by early stopping, whatever is inside

    inner: Schedule
    epochs: int
    patience: int
    mode: Mode
    eta_min: float = 0.0
    end: float = math.inf

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate at `t` epochs."""
        fired = fired_after(metrics, self.patience, self.mode)
        if fired is None or t < fired - TOLERANCE or fired >= self.end:
            return self.inner.lr(base_lr, t, metrics)
        top = _rate_at(metrics, self.inner, base_lr, fired)
        share = min(1.0, (t - fired) / min(self.epochs, self.end - fired))
        return self.eta_min + (top - self.eta_min) * (1 + math.cos(math.pi * share)) / 2


def _later(part: Part, by: float) -> Part:
    return replace(part, start=part.start + by, end=part.end + by)


@remember_latest
def _rate_at(metrics: Sequence[float], schedule: Schedule, base_lr: float, epoch: int) -> float:
    return schedule.lr(base_lr, epoch, metrics[:epoch])


def _in_epochs(length: float | Duration | None) -> float:
    """Return a length in epochs, infinite if it has none; raises UsageError for one that is not fitted yet."""
    if isinstance(length, Duration):
        hint = "fit the chain first: chain.fitted(Span(epochs=25, steps_per_epoch=100))"
        raise UsageError(f"how many epochs {length} is depends on the training", hint)
    return math.inf if length is None else length
