"""Plateau: the learning rate falls when the metric stops improving; a fold over the metrics, without state."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Annotated, Literal, Self

from annotated_types import Ge, Gt, Lt

from clfctl.schedules.base import Bound, Kind, Rate, Span, steady
from clfctl.schedules.parameters import Param


@dataclass(frozen=True)
class Plateau(Bound, Kind):
    """Multiply by `factor` when the metric has not improved for more than `patience` epochs.

    torch.optim.lr_scheduler.ReduceLROnPlateau, with its counting: NaN never improves. With `smooth` s the metric is
    its moving average `m = s * m + (1 - s) * metric`, which leaves out values that are not finite.
    """

    name = "plateau"
    follows_metrics = True

    patience: Annotated[int, Ge(0), Param("Epochs without improvement to tolerate before the rate is lowered.")] = 3
    factor: Annotated[
        float, Gt(0), Lt(1), Param("Factor by which each change multiplies the learning rate.", older="gamma")
    ] = 0.5
    min_lr: Annotated[float, Ge(0), Param("The lowest learning rate.", option="eta_min")] = 0.0
    mode: Annotated[
        Literal["auto", "min", "max"],
        Param(
            "Whether a smaller or a larger metric is better; auto: as for the monitored metric.", option="plateau_mode"
        ),
    ] = "auto"
    threshold: Annotated[float, Ge(0), Param("Smallest improvement that counts.")] = 1e-4
    threshold_mode: Annotated[
        Literal["rel", "abs"], Param("Whether the threshold is relative to the best metric or an absolute difference.")
    ] = "rel"
    cooldown: Annotated[
        int, Ge(0), Param("Epochs after a change during which nothing is counted.", option="plateau_cooldown")
    ] = 0
    smooth: Annotated[
        float,
        Ge(0),
        Lt(1),
        Param("Weight of the past in the moving average of a noisy metric.", option="plateau_smooth"),
    ] = 0.0
    eps: Annotated[float, Ge(0), Param("Changes smaller than this are not made.", option="")] = 1e-8

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the learning rate after the epochs whose metrics are given: the same for the whole of the next."""
        return steady(deque(self._folded(metrics, base_lr), maxlen=1)[0])

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        lr = base_lr
        for lr in self._folded(metrics, base_lr):
            yield steady(lr)
        yield from repeat(steady(lr))

    def fitted(self, span: Span) -> Self:
        """Return the schedule with the direction of the monitored metric."""
        return replace(self, mode=span.mode) if self.mode == "auto" else self

    def improves(self, metric: float, best: float) -> bool:
        """Return whether `metric` beats `best` by more than the threshold."""
        sign = 1 if self.mode == "max" else -1
        relative = self.threshold_mode == "rel"
        bar = best * (1 + sign * self.threshold) if relative else best + sign * self.threshold
        return metric > bar if self.mode == "max" else metric < bar

    def _folded(self, metrics: Sequence[float], base_lr: float) -> Iterator[float]:
        """Yield the rate before any metric, and after each of them."""
        lr = base_lr
        yield lr
        best = -math.inf if self.mode == "max" else math.inf
        n_bad = n_cooldown = 0
        average: float | None = None
        for metric in metrics:
            seen = metric
            if self.smooth:
                if math.isfinite(metric):
                    average = metric if average is None else self.smooth * average + (1 - self.smooth) * metric
                seen = average if average is not None and math.isfinite(metric) else math.nan
            if self.improves(seen, best):
                best, n_bad = seen, 0
            else:
                n_bad += 1
            if n_cooldown > 0:
                n_cooldown -= 1
                n_bad = 0
            if n_bad > self.patience:
                lowered = max(lr * self.factor, self.min_lr)
                if lr - lowered > self.eps:
                    lr = lowered
                n_cooldown, n_bad = self.cooldown, 0
            yield lr
