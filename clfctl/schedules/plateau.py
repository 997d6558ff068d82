"""Plateau: the learning rate falls when the metric stops improving; a fold over what it sees, without state."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from clfctl.schedules.following import AutoMode, Following, LookEvery, better
from clfctl.schedules.parameters import Param
from clfctl.schedules.recorded import Window, joined
from clfctl.schedules.slope import FEWEST, falls


@dataclass(frozen=True)
class Plateau(Following):
    """Multiply by `factor` when the metric has not improved for more than `patience` epochs.

    torch.optim.lr_scheduler.ReduceLROnPlateau, with its counting: NaN never improves. With `smooth` s the metric is
    its moving average `m = s * m + (1 - s) * metric`, which leaves out values that are not finite. With `every` it
    looks at the training loss so often instead, and `patience` and `cooldown` count looks. With `confidence` the rate
    stays, however long nothing has improved, while the last `patience + 1` looks fall: the slope of the line through
    them, through every batch where there is `every`, is below 0 by Student's one-sided test at that level.
    """

    name = "plateau"

    patience: Annotated[
        int, Ge(0), Param("Epochs without improvement to tolerate before the rate is lowered.", unit="epochs")
    ] = 3
    factor: Annotated[
        float, Gt(0), Lt(1), Param("Factor by which each change multiplies the learning rate.", older="gamma")
    ] = 0.5
    min_lr: Annotated[float, Ge(0), Param("The lowest learning rate.", option="eta_min", unit="rate")] = 0.0
    mode: Annotated[
        AutoMode,
        Param(
            "Whether a smaller or a larger metric is better; auto: as for the monitored metric.", option="plateau_mode"
        ),
    ] = "auto"
    threshold: Annotated[float, Ge(0), Param("Smallest improvement that counts.")] = 1e-4
    threshold_mode: Annotated[
        Literal["rel", "abs"], Param("Whether the threshold is relative to the best metric or an absolute difference.")
    ] = "rel"
    cooldown: Annotated[
        int,
        Ge(0),
        Param("Epochs after a change during which nothing is counted.", option="plateau_cooldown", unit="epochs"),
    ] = 0
    smooth: Annotated[
        float,
        Ge(0),
        Lt(1),
        Param("Weight of the past in the moving average of a noisy metric.", option="plateau_smooth"),
    ] = 0.0
    eps: Annotated[float, Ge(0), Param("Changes smaller than this are not made.", option="")] = 1e-8
    every: LookEvery = None
    confidence: Annotated[
        float,
        Ge(0),
        Lt(1),
        Param(
            "Lower the rate only where what was seen since falls no more, as far as it can be told with this "
            "confidence, such as 0.6; 0: by patience alone.",
            option="plateau_confidence",
        ),
    ] = 0.0
    between: float = 0.0

    def improves(self, metric: float, best: float) -> bool:
        """Return whether `metric` beats `best` by more than the threshold."""
        return better(metric, best, self.mode, self.threshold, self.threshold_mode)

    def _folded(self, seen: Iterable[Window], base_lr: float) -> Iterator[float]:
        """Yield the rate before anything is seen, and after each look."""
        lr = base_lr
        yield lr
        best = -math.inf if self.mode == "max" else math.inf
        n_bad = n_cooldown = 0
        average: float | None = None
        latest = deque[Window](maxlen=self.patience + 1 if self.every else max(FEWEST, self.patience + 1))
        for look in seen:
            latest.append(look)
            metric = value = look.loss
            if self.smooth:
                if math.isfinite(metric):
                    average = metric if average is None else self.smooth * average + (1 - self.smooth) * metric
                value = average if average is not None and math.isfinite(metric) else math.nan
            if self.improves(value, best):
                best, n_bad = value, 0
            else:
                n_bad += 1
            if n_cooldown > 0:
                n_cooldown -= 1
                n_bad = 0
            if n_bad > self.patience and not (self.confidence and self._still_improves(latest)):
                lowered = max(lr * self.factor, self.min_lr)
                if lr - lowered > self.eps:
                    lr = lowered
                n_cooldown, n_bad = self.cooldown, 0
                latest.clear()  # what it shows is of the rate before
            yield lr

    def _still_improves(self, latest: Iterable[Window]) -> bool:
        """Return whether the latest looks improve, as far as can be told; a few points tell nothing."""
        whole = reduce(joined, latest)
        if self.mode == "max":
            whole = whole._replace(trend=-whole.trend)
        return bool(falls(whole, self.confidence))
