"""The built-in schedules, each a formula in its docstring; all agree with torch's classes to 1e-12 of base_lr."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Step:
    """`base_lr * gamma ** floor(epoch / step_size)`: torch.optim.lr_scheduler.StepLR."""

    step_size: int = 5
    gamma: float = 0.5

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:  # noqa: ARG002 (protocol)
        """Return the learning rate at `t` epochs."""
        return base_lr * self.gamma ** (math.floor(t) // self.step_size)


@dataclass(frozen=True)
class Cosine:
    """`eta_min + (base_lr - eta_min) * (1 + cos(pi * epoch / t_max)) / 2`: torch.optim.lr_scheduler.CosineAnnealingLR.

    SGDR (Loshchilov and Hutter 2017, arXiv:1608.03983) without the restarts. Past `t_max` it climbs again, as torch's.
    """

    t_max: int
    eta_min: float = 0.0

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:  # noqa: ARG002 (protocol)
        """Return the learning rate at `t` epochs."""
        return self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(math.pi * math.floor(t) / self.t_max)) / 2


@dataclass(frozen=True)
class Plateau:
    """Multiply by `factor` when the metric has not improved for more than `patience` epochs.

    torch.optim.lr_scheduler.ReduceLROnPlateau, with its counting, as a fold over the metrics: NaN never improves.
    `threshold` is the least change that counts, relative to the best value or absolute; after a change `cooldown`
    epochs are not counted; changes smaller than `eps` are not made.
    """

    patience: int = 3
    factor: float = 0.5
    min_lr: float = 0.0
    mode: Literal["min", "max"] = "min"
    threshold: float = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: int = 0
    eps: float = 1e-8

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:  # noqa: ARG002 (protocol)
        """Return the learning rate after the epochs whose metrics are given."""
        lr = base_lr
        best = math.inf if self.mode == "min" else -math.inf
        n_bad = n_cooldown = 0
        for metric in metrics:
            if self.improves(metric, best):
                best, n_bad = metric, 0
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
        return lr

    def improves(self, metric: float, best: float) -> bool:
        """Return whether `metric` beats `best` by more than the threshold."""
        sign = -1 if self.mode == "min" else 1
        relative = self.threshold_mode == "rel"
        bar = best * (1 + sign * self.threshold) if relative else best + sign * self.threshold
        return metric < bar if self.mode == "min" else metric > bar
