"""A cooldown: the rate is annealed to its lowest, as a part of a schedule, or when early stopping fires."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated

from clfctl.schedules.base import TOLERANCE, Clocked, Kind, LrEvery, Mode, Rate, Schedule, clock, length_of
from clfctl.schedules.compose import Around, Chain, Restart, Scaled, Warmup
from clfctl.schedules.curves import Curve, EtaMin, Fall, TMax, falling
from clfctl.schedules.parameters import Param, parameters_of
from clfctl.schedules.stable import StableWarmup
from clfctl.schedules.stopping import fired_after
from clfctl.schedules.together import Late, Product


@dataclass(frozen=True)
class Anneal(Clocked, Curve):
    """Fall from the rate that it begins with to `eta_min`: the last part of a mixed schedule, `> cooldown:5`.

    With s the share of the part that is over, the rate is `eta_min + (base_lr - eta_min) * f`, f being
    `(1 + cos(pi * s)) / 2`, as when early stopping fires, `1 - s` or `1 - sqrt(s)`; the base is the rate at which the
    part before ended. Constant rates with a cooldown: Hägele et al. 2024 (arXiv:2405.18392).
    """

    name = "cooldown"

    shape: Annotated[Fall, Param("How it falls.", option="")] = "cosine"
    eta_min: EtaMin = 0.0
    t_max: TMax = 0
    every: LrEvery = "batch"

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        t, length = clock(t, self.every), length_of(self, self.t_max)
        # The root of a rounding error is no rounding error.
        share = min(1.0, t / length) if t > TOLERANCE else 0.0
        return annealed(base_lr, self.eta_min, share, self.shape)


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
        rate, fired = self.inner.given(metrics, base_lr), fired_after(metrics, self.patience, self.mode)
        if fired is None or fired >= self.end:
            return rate
        return self._annealed(rate, fired, self.inner.given(metrics[:fired], base_lr)(fired))

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        rates, fired = self.inner.by_epoch(metrics, base_lr), fired_after(metrics, self.patience, self.mode)
        if fired is None or fired >= self.end:
            yield from rates
            return
        yield from islice(rates, fired)
        top = self.inner.given(metrics[:fired], base_lr)(fired)
        for rate in rates:
            yield self._annealed(rate, fired, top)

    def next_look(self, t: float, metrics: Sequence[float] = ()) -> float:
        """Return when the schedule inside looks at what batches showed; while it is annealed, never."""
        fired = fired_after(metrics, self.patience, self.mode)
        return self.inner.next_look(t, metrics) if fired is None or t < fired else math.inf

    def _annealed(self, rate: Rate, fired: int, top: float) -> Rate:
        """Return a rate that goes from `top` to the lowest after `fired` epochs."""
        length, lowest = min(self.epochs, self.end - fired), self.eta_min

        def cooled(t: float) -> float:
            if t < fired - TOLERANCE:
                return rate(t)
            return annealed(top, lowest, min(1.0, (t - fired) / length), "cosine")

        return cooled


def annealed(top: float, lowest: float, share: float, shape: Fall) -> float:
    """Return the rate after a `share` of its way from `top` to the lowest: what every cooldown goes by."""
    return lowest + (top - lowest) * falling(shape, share)


def lowest_rate(schedule: Schedule) -> float:
    """Return the lowest learning rate that a schedule was given, 0 if none; of several parts that of the last."""
    match schedule:
        case Warmup(inner=inner) | Scaled(inner=inner) | Restart(inner=inner) | Late(inner=inner):
            return lowest_rate(inner)
        case StableWarmup(inner=inner):
            return lowest_rate(inner)
        case Product(schedules=schedules):
            return lowest_rate(schedules[-1])
        case Chain(schedules=schedules):
            return lowest_rate(schedules[-1][0])
        case Kind():
            stated = (getattr(schedule, p.name) for p in parameters_of(type(schedule)) if p.option == "eta_min")
            return float(next(stated, 0.0))
    return 0.0
