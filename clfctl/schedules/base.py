"""What a schedule is: a pure function from time and past metrics to a learning rate."""

from collections.abc import Sequence
from typing import Protocol


class Schedule(Protocol):
    """A learning rate as a function of time; it holds its parameters and no state."""

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate of the optimizer step at time `t`.

        `t` is in epochs and fractional inside one: `epoch + batch / batches_per_epoch`. `metrics` holds the monitored
        metric of every epoch finished before `t`.
        """
        ...
