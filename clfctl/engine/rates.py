"""What the plan sets at a step, written into the optimizer: the one place that does."""

from torch.optim import Optimizer

from clfctl.planning.plan import Values


def set_rates(optimizer: Optimizer, values: Values, base_lr: float) -> None:
    """Write the values of the coming step into every param group; its learning rate keeps its ratio to the base."""
    for group in optimizer.param_groups:
        group["lr"] = values.lr * (group["initial_lr"] / base_lr)
