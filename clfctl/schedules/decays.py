"""Kinds that multiply the rate by a function of time, without an end; each docstring has the formula and its source.

Those that torch also has agree with its classes, stepped once for each unit of `t`, to 1e-12 of the base rate.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Annotated, Self

from annotated_types import Ge, Gt, Le

from clfctl.schedules.base import TOLERANCE, Clocked, LrEvery, Span, Timed, clock, length_of, whole
from clfctl.schedules.parameters import Param
from clfctl.schedules.rates import Rate


@dataclass(frozen=True)
class Constant(Timed):
    """The base learning rate throughout, or `factor` times it for the first `t_max` epochs.

    `base_lr * factor if t < t_max else base_lr`: torch.optim.lr_scheduler.ConstantLR.
    """

    name = "constant"

    factor: Annotated[float, Gt(0), Param("Factor on the learning rate.", option="")] = 1.0
    t_max: Annotated[float, Ge(0), Param("Epochs with the factor; 0: all.", option="", unit="epochs")] = 0

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        return base_lr * self.factor if not self.t_max or t < self.t_max - TOLERANCE else base_lr

    def moves(self, start: float, last: float) -> bool:
        """Return whether the rate may change from `start` to `last`."""
        return start < self.t_max <= last + TOLERANCE


@dataclass(frozen=True)
class Step(Timed):
    """Multiply by `gamma` every `step_size` epochs.

    `base_lr * gamma ** floor(epoch / step_size)`: torch.optim.lr_scheduler.StepLR.
    """

    name = "step"

    step_size: Annotated[int, Gt(0), Param("Epochs between two changes.", unit="epochs")] = 5
    gamma: Annotated[float, Gt(0), Le(1), Param("Factor by which each change multiplies the learning rate.")] = 0.5

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        return base_lr * self.gamma ** (whole(t) // self.step_size)

    def moves(self, start: float, last: float) -> bool:
        """Return whether the rate may change from `start` to `last`."""
        return whole(start) != whole(last)


@dataclass(frozen=True)
class MultiStep(Timed):
    """Multiply by `gamma` at each milestone.

    `base_lr * gamma ** (milestones passed)`: torch.optim.lr_scheduler.MultiStepLR. Without milestones those of He et
    al. 2016 (arXiv:1512.03385) on CIFAR-10: at a half and at three quarters of the training.
    """

    name = "multistep"

    milestones: Annotated[
        tuple[float, ...],
        Ge(0),
        Param("Epochs at which the rate changes; none: 1/2 and 3/4 of the training.", unit="epochs"),
    ] = ()
    gamma: Annotated[float, Gt(0), Le(1), Param("Factor by which each change multiplies the learning rate.")] = 0.1

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        return base_lr * self.gamma ** bisect_right(sorted(self.milestones), t + TOLERANCE)

    def moves(self, start: float, last: float) -> bool:
        """Return whether the rate may change from `start` to `last`."""
        return any(start < each <= last + TOLERANCE for each in self.milestones)

    def fitted(self, span: Span) -> Self:
        """Return the schedule with milestones."""
        return (
            self if self.milestones else replace(self, milestones=(round(span.epochs / 2), round(span.epochs * 3 / 4)))
        )


@dataclass(frozen=True)
class Exponential(Clocked):
    """Multiply by `gamma` every epoch.

    `base_lr * gamma ** t`: torch.optim.lr_scheduler.ExponentialLR.
    """

    name = "exponential"

    gamma: Annotated[float, Gt(0), Le(1), Param("Factor by which each epoch multiplies the learning rate.")] = 0.95
    every: LrEvery = "epoch"

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        return base_lr * math.pow(self.gamma, clock(t, self.every))

    def formula(self, base_lr: float, start: float, last: float) -> Rate:
        """Return `at` from `start` to `last`."""
        if self.every == "epoch":
            return super().formula(base_lr, start, last)
        gamma, power = self.gamma, math.pow
        return lambda t: base_lr * power(gamma, t)


@dataclass(frozen=True)
class InverseSqrt(Clocked):
    """Fall as one over the square root of time, for trainings of unknown length.

    `base_lr * sqrt(timescale / (timescale + t))`: Vaswani et al. 2017 (arXiv:1706.03762), whose timescale is the
    warmup; Zhai et al. 2022 (arXiv:2106.04560). With another `power` than 0.5 that is the exponent in the place of the
    root: 1 is one over time, Keras' InverseTimeDecay.
    """

    name = "inverse-sqrt"

    timescale: Annotated[
        float,
        Ge(0),
        Param("Epochs until the rate has fallen to 0.71 of the base; 0: as many as the warmup, or 1.", unit="epochs"),
    ] = 0
    every: LrEvery = "batch"
    power: Annotated[float, Gt(0), Param("Exponent of the fall; 1: as one over time.", option="")] = 0.5

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        timescale = length_of(self, self.timescale)
        share = timescale / (timescale + clock(t, self.every))
        return base_lr * (math.sqrt(share) if self.power == 0.5 else math.pow(share, self.power))

    def fitted(self, span: Span) -> Self:
        """Return the schedule with its timescale."""
        return self if self.timescale else replace(self, timescale=span.warmup or 1.0)
