"""What a schedule is: a pure function from time and past metrics to a learning rate."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Annotated, Any, ClassVar, Concatenate, Literal, ParamSpec, Self, TypeVar, cast

from clfctl.errors import UsageError
from clfctl.schedules.parameters import Param, check_parameters

P = ParamSpec("P")
R = TypeVar("R")
Mode = Literal["min", "max"]
Every = Literal["epoch", "batch"]
LrEvery = Annotated[
    Every, Param("How often a smooth curve moves: once an epoch, or at every batch.", option="lr_every")
]

# `epoch + batch / n - start` misses a whole number by a few units in the last place. No batch is that short, and an
# epoch's last moment (`before`) is farther from its end.
TOLERANCE = 1e-10
BEFORE = 1e-9


@dataclass(frozen=True)
class Span:
    """What a schedule is fitted to: the epochs that are its own, the warmup before them, the batches of an epoch.

    `mode` says whether a smaller or a larger metric is better. `steps_per_epoch` is None where no data is known.
    """

    epochs: float
    warmup: float = 0.0
    steps_per_epoch: int | None = None
    mode: Mode = "min"


@dataclass(frozen=True)
class Part:
    """A stretch of a schedule, from `start` to `end` in epochs, and what makes it."""

    label: str
    start: float
    end: float
    schedule: "Schedule | None" = field(default=None, compare=False)


class Schedule(ABC):
    """A learning rate as a function of time; it holds its parameters and no state.

    `name` is what it is called in expressions and pictures.
    `continues`: as a later part of a chain it begins at the rate at which the part before it ended, else at the base.
    `follows_metrics`: the rate depends on the metrics, not on time alone.
    """

    name: ClassVar[str]
    continues: bool = True
    follows_metrics: bool = False

    @abstractmethod
    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate of the optimizer step at time `t`.

        `t` is in epochs and fractional inside one: `epoch + batch / batches_per_epoch`. `metrics` holds the monitored
        metric of every epoch finished before `t`.
        """

    def fitted(self, span: Span) -> Self:  # noqa: ARG002 (most kinds depend on nothing)
        """Return the schedule with what was left open, a length above all, taken from the training."""
        return self

    def parts(self, epochs: float) -> list[Part]:
        """Return the stretches that a picture of the first `epochs` shows apart."""
        return [Part(self.name, 0.0, epochs, self)]


class Kind(Schedule):
    """A built-in schedule: a frozen dataclass whose fields are its parameters, checked when it is made."""

    def __post_init__(self) -> None:
        """Raise UsageError for a parameter out of its limits."""
        check_parameters(self)


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
    """Return `t_max`; raises UsageError where it is 0, which means that the schedule was to be fitted first."""
    if not t_max:
        hint = f"give it one, or fit it: {type(schedule).__name__}().fitted(Span(epochs=25))"
        raise UsageError(f"{schedule.name} has no length yet", hint)
    return t_max


def remember_latest(
    function: Callable[Concatenate[Sequence[float], P], R],
) -> Callable[Concatenate[Sequence[float], P], R]:
    """Remember the latest result of a function of metrics: every batch of an epoch asks for the same.

    Only for a tuple, which cannot have changed, and the very same one: comparing would cost as much as computing.
    """
    latest: tuple[Any, ...] = (None, None, None)

    @wraps(function)
    def call(metrics: Sequence[float], /, *rest: P.args, **named: P.kwargs) -> R:
        nonlocal latest
        of, with_rest, result = latest
        if of is not metrics or with_rest != rest or not isinstance(metrics, tuple):
            result = function(metrics, *rest, **named)
            latest = metrics, rest, result
        return cast(R, result)

    return call


# The tail of the latest metrics from each start: the same object for the same tuple, for `remember_latest`.
_tails: dict[int, tuple[Sequence[float], Sequence[float]]] = {}


def since(metrics: Sequence[float], start: float) -> Sequence[float]:
    """Return the metrics of the epochs from `start` on; the epoch that `start` lies in counts."""
    n = whole(start)
    if n <= 0 or not metrics:
        return metrics
    if not isinstance(metrics, tuple):
        return metrics[n:]
    known, tail = _tails.get(n, (None, ()))
    if known is not metrics:
        tail = metrics[n:]
        _tails[n] = metrics, tail
    return tail
