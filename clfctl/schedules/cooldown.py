"""A cooldown: the rate is annealed when early stopping fires, and only then training ends."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from clfctl.schedules.base import TOLERANCE, Kind, Mode, Rate, Schedule
from clfctl.schedules.compose import Around, Chain, Restart, Scaled, Warmup
from clfctl.schedules.parameters import parameters_of
from clfctl.schedules.stopping import fired_after


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

    def _annealed(self, rate: Rate, fired: int, top: float) -> Rate:
        """Return a rate that goes from `top` to the lowest after `fired` epochs."""
        length, lowest = min(self.epochs, self.end - fired), self.eta_min

        def annealed(t: float) -> float:
            if t < fired - TOLERANCE:
                return rate(t)
            share = min(1.0, (t - fired) / length)
            return lowest + (top - lowest) * (1 + math.cos(math.pi * share)) / 2

        return annealed


def lowest_rate(schedule: Schedule) -> float:
    """Return the lowest learning rate that a schedule was given, 0 if none; of several parts that of the last."""
    match schedule:
        case Warmup(inner=inner) | Scaled(inner=inner) | Restart(inner=inner):
            return lowest_rate(inner)
        case Chain(schedules=schedules):
            return lowest_rate(schedules[-1][0])
        case Kind():
            stated = (getattr(schedule, p.name) for p in parameters_of(type(schedule)) if p.option == "eta_min")
            return float(next(stated, 0.0))
    return 0.0
