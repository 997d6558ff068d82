"""A schedule of a user's, as tests name it: `tests.schedules.of_user:Falling`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

from clfctl.schedules import Schedule, Span


@dataclass(frozen=True)
class Falling(Schedule):
    """A line to 0 over the training, halved after every epoch that was worse than the one before."""

    epochs: float = 0.0

    @property
    def follows_metrics(self) -> bool:
        """It goes by the metrics."""
        return True

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate at `t` epochs."""
        worse = sum(later > earlier for earlier, later in pairwise(metrics))
        return base_lr * 0.5**worse * max(0.0, 1 - t / self.epochs)

    def fitted(self, span: Span) -> Self:
        """Return it with its length."""
        return self if self.epochs else replace(self, epochs=span.epochs)
