"""What a schedule is: a pure function from time and past metrics to a learning rate."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Annotated, ClassVar, Literal, Self

from clfctl.errors import UsageError
from clfctl.schedules.parameters import Param, check_parameters
from clfctl.schedules.rates import Deciding, Steady
from clfctl.schedules.rates import Rate as Rate
from clfctl.schedules.recorded import TOLERANCE as TOLERANCE
from clfctl.schedules.recorded import Recorded
from clfctl.schedules.recorded import since as since

Mode = Literal["min", "max"]
Every = Literal["epoch", "batch"]
LrEvery = Annotated[
    Every, Param("How often a smooth curve changes: once an epoch, or at every batch.", option="lr_every")
]

# An epoch's last moment (`before`) is farther from its end than `TOLERANCE`.
BEFORE = 1e-9


@dataclass(frozen=True)
class Span:
    """What a schedule is fitted to: its own epochs, the warmup before them, and the batches in an epoch.

    `mode` says whether a smaller or a larger metric is better. `steps_per_epoch` is None where the data is not known.
    """

    epochs: float
    warmup: float = 0.0
    steps_per_epoch: int | None = None
    mode: Mode = "min"


@dataclass(frozen=True)
class Segment:
    """A stretch of a schedule, from `start` to `end` in epochs, and what makes it."""

    label: str
    start: float
    end: float
    schedule: "Schedule | None" = field(default=None, compare=False)


class Schedule(ABC):
    """A learning rate as a function of time; it holds its parameters and no state.

    `continues`: as a later part of a chain it begins at the rate at which the part before it ended, else at the base.
    A schedule of your own needs `lr` and nothing else.
    """

    continues: bool = True

    @property
    def name(self) -> str:
        """What it is called in expressions and pictures."""
        return type(self).__name__.lower()

    @property
    def follows_metrics(self) -> bool:
        """Whether the rate depends on the metrics, not on time alone."""
        return False

    @abstractmethod
    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate of the optimizer step at time `t`.

        `t` is in epochs and fractional inside one: `epoch + batch / batches_per_epoch`. `metrics` holds the monitored
        metric of every epoch finished before `t`; beside them there may be what batches showed, see `windows_of`.
        """

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time, for an epoch at whose beginning `metrics` are known.

        What does not depend on the batch is worked out here, once an epoch.
        """
        known = metrics if isinstance(metrics, Recorded) else tuple(metrics)
        return lambda t: self.lr(base_lr, t, known)

    def next_look(self, t: float, metrics: Sequence[float] = ()) -> float:  # noqa: ARG002 (most kinds never look)
        """Return the first time after `t`, in epochs, at which what batches showed by then may change the rate.

        Infinite for a schedule that goes by time and the metrics of epochs: training hands it nothing inside an epoch.
        """
        return math.inf

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn, without end: that of epoch n is `given` the first n metrics.

        For curves of many epochs: a schedule that folds over its metrics does so once here, not again for each epoch.
        """
        rate = self.given((), base_lr)
        yield rate
        for n_known in count(1):
            yield self.given(metrics[:n_known], base_lr) if self.follows_metrics else rate

    def fitted(self, span: Span) -> Self:  # noqa: ARG002 (most kinds depend on nothing)
        """Return the schedule with what was left open, a length above all, taken from the training."""
        return self

    def segments(self, epochs: float) -> list[Segment]:
        """Return the stretches that a picture of the first `epochs` shows apart."""
        return [Segment(self.name, 0.0, epochs, self)]


class Bound(Schedule):
    """A schedule that says `given`, from which `lr` follows."""

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate at `t` epochs."""
        return self.given(metrics, base_lr)(t)

    @abstractmethod
    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time, for an epoch at whose beginning `metrics` are known."""


class Kind(Schedule):
    """A built-in schedule: a frozen dataclass whose fields are its parameters, checked when it is made."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        """Raise UsageError for a parameter out of its limits."""
        check_parameters(self)


class Timed(Bound, Kind):
    """A kind that depends on time alone: it says `at`."""

    @abstractmethod
    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:  # noqa: ARG002 (whatever the metrics are)
        """Return the rate as a function of time."""
        return _TimedRate(self, base_lr)

    def moves(self, start: float, last: float) -> bool:  # noqa: ARG002 (as far as is known)
        """Return whether the rate may change from `start` to `last`."""
        return True

    def formula(self, base_lr: float, start: float, last: float) -> Rate:  # noqa: ARG002 (for any stretch)
        """Return `at` for times from `start` to `last`, to the bit.

        A kind may work out here what is the same for all of them: a preview asks for a million.
        """
        return partial(self.at, base_lr)


class Clocked(Timed):
    """A kind that goes by `clock(t, self.every)`."""

    every: Every

    def moves(self, start: float, last: float) -> bool:
        """Return whether the rate may change from `start` to `last`."""
        return self.every == "batch" or whole(start) != whole(last)


class _TimedRate(Deciding):
    """The rate of a kind that depends on time alone."""

    def __init__(self, kind: Timed, base_lr: float) -> None:
        self.kind, self.base_lr = kind, base_lr

    def __call__(self, t: float) -> float:
        return self.kind.at(self.base_lr, t)

    def within(self, start: float, last: float) -> Rate:
        """Return the formula, or its value where that is the same all the time."""
        if self.kind.moves(start, last):
            return self.kind.formula(self.base_lr, start, last)
        return Steady(self.kind.at(self.base_lr, start))


def steady(lr: float) -> Rate:
    """Return the rate that is `lr` at any time."""
    return Steady(lr)


def whole(t: float) -> int:
    """Return the whole epochs in `t`."""
    return math.floor(t + TOLERANCE)


def clock(t: float, every: Every) -> float:
    """Return the time that a curve goes by: `t` itself, or the beginning of its epoch."""
    return whole(t) if every == "epoch" else t


def before(epoch: float) -> float:
    """Return the last moment before `epoch`."""
    return epoch - BEFORE


def length_of(schedule: Schedule, t_max: float) -> float:
    """Return `t_max`; raises UsageError if it is 0: the schedule should have been fitted first."""
    if not t_max:
        hint = f"give it one, or fit it: {type(schedule).__name__}().fitted(Span(epochs=25))"
        raise UsageError(f"{schedule.name} has no length yet", hint)
    return t_max
