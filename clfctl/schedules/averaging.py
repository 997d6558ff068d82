"""The part of a schedule in which weights are averaged: their rate, and from when on."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from clfctl.schedules.base import Schedule, Timed, whole
from clfctl.schedules.parameters import Param


@dataclass(frozen=True)
class Average(Timed):
    """Hold the rate, and average the weights: at the end of each epoch they join a mean, which is used from then on.

    `rate or base_lr`, where as a part of a chain the base is the rate that it begins with. Stochastic weight averaging:
    Izmailov et al. 2018 (arXiv:1803.05407); torch.optim.swa_utils.SWALR after its annealing. The last part of a
    schedule, or the only one.
    """

    name = "average"

    rate: Annotated[float, Ge(0), Param("Learning rate; 0: the one that it begins with.", option="", unit="rate")] = 0.0

    def at(self, base_lr: float, t: float) -> float:  # noqa: ARG002 (the same at any time)
        """Return the learning rate at `t` epochs."""
        return self.rate or base_lr

    def moves(self, start: float, last: float) -> bool:  # noqa: ARG002 (the same at any time)
        """Return whether the rate may change from `start` to `last`."""
        return False


def averages_from(schedule: Schedule, epochs: float) -> int | None:
    """Return after how many epochs weights are averaged, at the end of each epoch from there on; None: never."""
    last = schedule.segments(epochs)[-1:]
    return next((whole(each.start) for each in last if isinstance(each.schedule, Average)), None)
