"""A training as far as its curve is concerned, and its curve without metrics: what cautions look at."""

from dataclasses import dataclass
from functools import cached_property

from clfctl.schedules.base import TOLERANCE, Mode, Schedule, before
from clfctl.schedules.compose import Warmup
from clfctl.schedules.cooldown import Cooldown
from clfctl.schedules.stable import StableWarmup

NOTHING = 1e-12
"""Share of the base learning rate below which nothing is learned."""
MAX_EPOCHS_SAMPLED = 2000


@dataclass(frozen=True)
class Course:
    """A schedule, and the training that it is for.

    `mode` says whether a smaller or a larger metric is better; `steps_per_epoch` is None if the data is not known. Some
    epochs may be `trained` already. A schedule that nobody chose, `is_usual`, is no mistake for being too long.
    """

    schedule: Schedule
    base_lr: float
    epochs: int
    early_stopping: int = 0
    mode: Mode = "min"
    steps_per_epoch: int | None = None
    optimizer: str = ""
    trained: float = 0.0
    is_usual: bool = False

    @property
    def begin(self) -> float:
        """The length of the warmup."""
        return inside(self.schedule)[0]

    def is_past(self, end: float) -> bool:
        """Return whether what ends there is trained already: nothing can be done about it any more."""
        return self.trained > 0 and end <= self.trained + TOLERANCE

    @cached_property
    def stride(self) -> int:
        """Epochs from one of `times` to the next."""
        return max(1, self.epochs // MAX_EPOCHS_SAMPLED)

    @cached_property
    def times(self) -> list[float]:
        """The beginnings of the epochs that are looked at: all, or of a long training some."""
        return [float(epoch) for epoch in range(0, self.epochs, self.stride)]

    @cached_property
    def starts(self) -> list[float]:
        """The rate at the beginning of each epoch, or where a warmup ends later; as far as it needs no metric."""
        rate = self.schedule.given((), self.base_lr)
        return [rate(max(t, self.begin)) for t in self.times]

    @cached_property
    def ends(self) -> list[float]:
        """The rate of the last step of each epoch."""
        rate = self.schedule.given((), self.base_lr)
        n = self.steps_per_epoch
        return [rate(t + (n - 1) / n if n else before(t + 1)) for t in self.times]


def unwrapped(schedule: Schedule) -> Schedule:
    """Return the schedule without a cooldown around it, and with the longest warmup that it can have."""
    schedule = schedule.inner if isinstance(schedule, Cooldown) else schedule
    return schedule.decided() if isinstance(schedule, StableWarmup) else schedule


def inside(schedule: Schedule) -> tuple[float, Schedule]:
    """Return the length of the warmup, and what comes after it."""
    inner = unwrapped(schedule)
    return (inner.epochs, inner.inner) if isinstance(inner, Warmup) else (0.0, inner)
