"""From `--optimizer` to an optimizer whose groups remember their base learning rate."""

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from clfctl.errors import UsageError, nearest
from clfctl.settings.groups import OptimizerSettings

SGD_MOMENTUM = 0.9


def build_optimizer(settings: OptimizerSettings, model: nn.Module) -> Optimizer:
    """Return the optimizer; `initial_lr` of each param group is what the schedule multiplies.

    Raises UsageError, with the nearest names, for an optimizer that timm does not know.
    """
    groups = _param_groups(model, settings.weight_decay)
    optimizer = _make(settings, groups)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def _make(settings: OptimizerSettings, groups: list[dict[str, object]]) -> Optimizer:
    # fused: one kernel for all parameters instead of a loop over them, on CPU and CUDA alike.
    match settings.optimizer.lower():
        case "adam":
            return Adam(groups, settings.lr, fused=True)
        case "adamw":
            return AdamW(groups, settings.lr, fused=True)
        case "sgd":
            return SGD(groups, settings.lr, momentum=SGD_MOMENTUM, fused=True)
    from timm.optim import create_optimizer_v2, list_optimizers

    if settings.optimizer.lower() not in list_optimizers():
        hint = nearest(settings.optimizer.lower(), list_optimizers()) or "adam, adamw, sgd, or one of timm's"
        raise UsageError(f"--optimizer: {settings.optimizer!r} is no optimizer", hint)
    optimizer: Optimizer = create_optimizer_v2(
        groups, settings.optimizer, lr=settings.lr, weight_decay=settings.weight_decay
    )
    return optimizer


def _param_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Biases and normalization weights are not decayed: they are vectors, all else has more dimensions."""
    trained: list[torch.Tensor] = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if weight_decay == 0:
        return [{"params": trained}]
    return [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": weight_decay},
        {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
    ]
