"""The momentum that a schedule of the learning rate moves too: onecycle's, in whatever it is a part of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clfctl.schedules.base import Bound, Rate, Schedule
from clfctl.schedules.compose import Around, Chain, Restart, Warmup
from clfctl.schedules.curves import OneCycle
from clfctl.schedules.decays import Constant
from clfctl.schedules.stable import StableWarmup
from clfctl.schedules.together import Late, Product


@dataclass(frozen=True)
class CycledMomentum(Bound):
    """The momentum that a onecycle moves against its rate: numbers of its own, whatever the base is.

    torch.optim.lr_scheduler.OneCycleLR with `cycle_momentum`; Smith and Topin 2018 (arXiv:1708.07120).
    """

    name = OneCycle.name

    curve: OneCycle

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:  # noqa: ARG002 (of time alone)
        """Return the momentum as a function of time."""
        return self.curve.momentum


def momentum_of(schedule: Schedule) -> Schedule | None:
    """Return how a fitted schedule of the learning rate moves the momentum, from its base; None if it does not.

    It has the parts of the schedule: those that do not move it leave it at the base, and during a warmup it stays where
    it is to begin.
    """
    match schedule:
        case OneCycle(cycle_momentum=True):
            return CycledMomentum(schedule)
        case Warmup(inner=inner, epochs=epochs):
            moved = momentum_of(inner)
            return moved and Warmup(moved, epochs, start=1.0)
        case StableWarmup():
            is_moved = momentum_of(schedule.decided().inner)
            return replace(schedule, seen_as=_momentum_or_base, start=1.0) if is_moved else None
        case Chain(schedules=parts):
            found = [(momentum_of(part), length) for part, length in parts]
            if any(moved for moved, _ in found):
                return Chain(tuple((Restart(moved or Constant()), length) for moved, length in found))
        case Late(inner=inner, by=by):
            moved = momentum_of(inner)
            return moved and Late(moved, by)
        case Product(schedules=schedules):
            return next((moved for each in reversed(schedules) if (moved := momentum_of(each))), None)
        case Around(inner=inner):  # neither a factor nor a fall of the rate is one of the momentum
            return momentum_of(inner)
    return None


def _momentum_or_base(schedule: Schedule) -> Schedule:
    return momentum_of(schedule) or Constant()
