"""What the plan sets at a step, written into the optimizer: the one place that does."""

from torch.optim import Optimizer

from clfctl.engine.frozen import has_begun
from clfctl.planning.plan import Values


def set_rates(optimizer: Optimizer, values: Values, base_lr: float, t: float) -> None:
    """Write the values of the coming step, at `t` epochs, into every param group.

    Its learning rate keeps its ratio to the base; it is 0 while the group is frozen.
    """
    for group, rate in zip(optimizer.param_groups, rates_at(optimizer, values, base_lr, t), strict=True):
        group["lr"] = rate


def rates_at(optimizer: Optimizer, values: Values, base_lr: float, t: float) -> list[float]:
    """Return the rate of every param group in the step at `t` epochs."""
    groups = optimizer.param_groups
    return [values.lr * (group["initial_lr"] / base_lr) if has_begun(group, t) else 0.0 for group in groups]
