"""GreedyLR: the learning rate rises while the metric improves, and falls while it does not; a fold, without state."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from clfctl.errors import UsageError
from clfctl.schedules.following import AutoMode, Following, LookEvery, better
from clfctl.schedules.parameters import Param
from clfctl.schedules.recorded import Window


@dataclass(frozen=True)
class Greedy(Following):
    """Divide by `factor` after more than `patience` improvements in a row, multiply by it after as many failures.

    GreedyLR (Subramanian and Ganapathiraman 2025, arXiv:2512.14527), with the counting of transformers.GreedyLR. Its
    defaults are for evaluations every few steps: here patience is 1 and not 10, since a look is an epoch, and `min_lr`
    0 and not 1e-3, which is above most rates that Adam is used with. With `every` it looks at the training loss so
    often instead. Values that are not finite are no improvement, and not averaged.
    """

    name = "greedy"

    patience: Annotated[
        int,
        Ge(0),
        Param("Epochs in a row that improve, or do not, to wait for before the rate is changed.", unit="epochs"),
    ] = 1
    factor: Annotated[
        float, Gt(0), Lt(1), Param("Factor by which a fall multiplies the learning rate, and a rise divides it.")
    ] = 0.95
    min_lr: Annotated[float, Ge(0), Param("The lowest learning rate.", option="eta_min", unit="rate")] = 0.0
    max_lr: Annotated[float, Gt(0), Param("The highest learning rate.", option="", unit="rate")] = 1.0
    mode: Annotated[
        AutoMode,
        Param(
            "Whether a smaller or a larger metric is better; auto: as for the monitored metric.", option="plateau_mode"
        ),
    ] = "auto"
    threshold: Annotated[float, Ge(0), Param("Smallest improvement that counts.")] = 1e-6
    threshold_mode: Annotated[
        Literal["rel", "abs"], Param("Whether the threshold is relative to the best metric or an absolute difference.")
    ] = "abs"
    cooldown: Annotated[
        int,
        Ge(0),
        Param("Epochs after a fall during which nothing is counted.", option="plateau_cooldown", unit="epochs"),
    ] = 0
    warmup: Annotated[
        int, Ge(0), Param("Epochs after a rise during which nothing is counted.", option="", unit="epochs")
    ] = 0
    smooth: Annotated[bool, Param("Go by the mean of the latest metrics, and not by each as it is.", option="")] = False
    window_size: Annotated[int, Ge(1), Param("Metrics that the mean is of, with smooth.", option="")] = 50
    reset_start: Annotated[
        int, Ge(0), Param("Falls at the lowest rate after which all begins anew, at the base rate.", option="")
    ] = 500
    eps: Annotated[float, Ge(0), Param("Changes smaller than this are not made.", option="")] = 1e-8
    every: LookEvery = None
    between: float = 0.0

    def __post_init__(self) -> None:
        """Raise UsageError for a parameter out of its limits."""
        super().__post_init__()
        if self.min_lr > self.max_lr:
            what = f"the lowest rate of greedy is {self.min_lr:g} and its highest {self.max_lr:g}"
            raise UsageError(what, "use a higher max_lr=, or a lower min_lr=")

    def _folded(self, seen: Iterable[Window], base_lr: float) -> Iterator[float]:
        """Yield the rate before anything is seen, and after each look."""
        course = _Course(self, base_lr)
        yield base_lr
        for look in seen:
            course.see(look.loss)
            yield course.lr


@dataclass
class _Course:
    """Where a fold is: the rate, and what is counted."""

    greedy: Greedy
    base_lr: float
    lr: float = field(init=False)
    n_left: int = field(init=False)

    def __post_init__(self) -> None:
        self.lr, self.n_left = self.base_lr, self.greedy.reset_start
        self._begin()

    def _begin(self) -> None:
        self.best = -math.inf if self.greedy.mode == "max" else math.inf
        self.n_good = self.n_bad = self.n_waiting = 0
        self.recent, self.total = deque[float](), 0.0

    def see(self, metric: float) -> None:
        """Count a metric, and change the rate where it is time."""
        greedy, value = self.greedy, self._smoothed(metric)
        if self.n_waiting:
            self.n_waiting -= 1
            self.n_good = self.n_bad = 0
            return
        if better(value, self.best, greedy.mode, greedy.threshold, greedy.threshold_mode):
            self.best, self.n_good, self.n_bad = value, self.n_good + 1, 0
        else:
            self.n_good, self.n_bad = 0, self.n_bad + 1
        if self.n_good > greedy.patience:
            self._rise()
        elif self.n_bad > greedy.patience:
            self._fall()

    def _rise(self) -> None:
        higher = min(self.lr / self.greedy.factor, self.greedy.max_lr)
        self.lr = higher if higher - self.lr > self.greedy.eps else self.lr
        self.n_left, self.n_waiting, self.n_good = self.greedy.reset_start, self.greedy.warmup, 0

    def _fall(self) -> None:
        lower = max(self.lr * self.greedy.factor, self.greedy.min_lr)
        self.lr = lower if self.lr - lower > self.greedy.eps else self.lr
        self.n_left -= self.lr <= self.greedy.min_lr
        if self.lr <= self.greedy.min_lr and self.n_left <= 0:
            self.lr, self.n_left = self.base_lr, self.greedy.reset_start
            self._begin()
        self.n_waiting, self.n_bad = self.greedy.cooldown, 0

    def _smoothed(self, metric: float) -> float:
        """Return the mean of the latest metrics, by a running sum as in transformers."""
        if not self.greedy.smooth or not math.isfinite(metric):
            return metric if math.isfinite(metric) else math.nan
        self.recent.append(metric)
        self.total += metric
        if len(self.recent) > self.greedy.window_size:
            self.total -= self.recent.popleft()
        return self.total / len(self.recent)
