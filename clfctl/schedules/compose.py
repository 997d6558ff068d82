"""Schedules made of schedules: warmup before any of them, and one after the other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from clfctl.schedules.base import Schedule


@dataclass(frozen=True)
class Warmup:
    """Rise linearly from 0 to where `inner` starts, over `epochs`; then `inner`, whose clock and metrics start there.

    `lr(t) = inner_start * t / epochs`, so the end of epoch e (from 0) has `inner_start * (e + 1) / epochs`. Goyal et
    al. 2017 (arXiv:1706.02677) warm up linearly too. The epoch that warmup ends in, when it ends inside one, is the
    first whose metric `inner` sees.
    """

    inner: Schedule
    epochs: float

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate at `t` epochs."""
        if t < self.epochs:
            return self.inner.lr(base_lr, 0.0) * t / self.epochs
        return self.inner.lr(base_lr, t - self.epochs, metrics[math.floor(self.epochs) :])


@dataclass(frozen=True)
class Chain:
    """One schedule after another, each for its number of epochs (None: for ever), with its own clock and metrics."""

    parts: tuple[tuple[Schedule, int | None], ...]

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate at `t` epochs."""
        start = 0
        for schedule, epochs in self.parts[:-1]:
            if epochs is None or t < start + epochs:
                return schedule.lr(base_lr, t - start, metrics[start:])
            start += epochs
        return self.parts[-1][0].lr(base_lr, t - start, metrics[start:])
