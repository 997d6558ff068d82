"""What the plan sets at a step, written into the optimizer: the one place that does."""

from torch.optim import Optimizer

from clfctl.engine.frozen import has_begun
from clfctl.planning.plan import Values


def set_rates(optimizer: Optimizer, values: Values, base_lr: float, t: float) -> None:
    """Write the values of the coming step, at `t` epochs, into every param group.

    Its learning rate keeps its ratio to the base; it is 0 while the group is frozen.
    """
    for group in optimizer.param_groups:
        group["lr"] = values.lr * (group["initial_lr"] / base_lr) if has_begun(group, t) else 0.0
