"""From an optimizer's name to an optimizer that goes by the settings, or the reason why there is none."""

import re
import warnings

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from clfctl.engine.kron import is_kron, make_pure
from clfctl.engine.optimizer_options import stated_options
from clfctl.engine.param_groups import make_groups, rules_for
from clfctl.errors import UsageError, first_line, nearest
from clfctl.models.source import ModelSource
from clfctl.settings.optimization import OptimizerSettings
from clfctl.settings.scaled_rate import base_lr_of

SGD_MOMENTUM = 0.9
LOOKAHEAD = "lookahead_"


def build_optimizer(settings: OptimizerSettings, model: nn.Module, source: ModelSource | None = None) -> Optimizer:
    """Return the optimizer; `initial_lr` of each param group is what the schedule multiplies.

    `source` is where the model comes from: it knows the layers that the settings may treat differently.

    Raises UsageError, with the nearest names, for an optimizer that there is not, and with the reason for one that
    cannot train here, cannot be saved, or cannot go by the settings.
    """
    groups = make_groups(model, rules_for(model, settings, source), base_lr_of(settings), settings.weight_decay)
    optimizer = _make(settings, groups)
    for group, wanted in zip(optimizer.param_groups, groups, strict=True):
        # Read back: an optimizer may have a default of its own, or no weight decay at all.
        if group.get("weight_decay", 0) != wanted["weight_decay"]:
            hint = "leave `weight_decay=` out, or choose another optimizer"
            raise UsageError(f"{settings.optimizer} has no weight decay", hint, field="weight_decay")
        group["initial_lr"] = group["lr"]
    return optimizer


def _make(settings: OptimizerSettings, groups: list[dict[str, object]]) -> Optimizer:
    # fused: one kernel for all parameters instead of a loop over them, on CPU and CUDA alike.
    match settings.optimizer.lower():
        case "adam":
            return Adam(groups, settings.lr, fused=True, **stated_options(settings, Adam))
        case "adamw":
            stated = stated_options(settings, AdamW)
            return AdamW(groups, settings.lr, weight_decay=settings.weight_decay, fused=True, **stated)
        case "sgd":
            stated = {"momentum": SGD_MOMENTUM} | stated_options(settings, SGD)
            return SGD(groups, settings.lr, fused=True, **stated)
    optimizer = _of_timm(settings, groups)
    if is_kron(type(optimizer)):
        make_pure(optimizer)
    return optimizer


def _of_timm(settings: OptimizerSettings, groups: list[dict[str, object]]) -> Optimizer:
    from timm.optim import create_optimizer_v2, get_optimizer_info

    name = settings.optimizer.lower()
    check_optimizer(name)
    info = get_optimizer_info(name)
    stated = stated_options(settings, info.opt_class, info.defaults)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*opt_einsum")  # Kron is as right without
            optimizer: Optimizer = create_optimizer_v2(
                groups, name, lr=settings.lr, weight_decay=settings.weight_decay, **stated
            )
    except TypeError as error:
        if "'weight_decay'" not in str(error):
            raise UsageError(f"{name} cannot be made: {first_line(error)}", field="optimizer") from error
        if settings.weight_decay:
            hint = "leave `weight_decay=` out, or choose another optimizer"
            raise UsageError(f"{name} has no weight decay", hint, field="weight_decay") from None
        raise
    return optimizer


def check_optimizer(name: str) -> None:
    """Raise UsageError if timm has no optimizer of that name, or one that a run cannot be trained and resumed with."""
    from timm.optim import get_optimizer_info, list_optimizers

    if name not in list_optimizers():
        if name.startswith(LOOKAHEAD):
            hint = f"use {name.removeprefix(LOOKAHEAD) or 'adam'} itself"
            raise UsageError(f"{name}: Lookahead's second copy of the weights cannot be saved", hint, field="optimizer")
        if "schedulefree" in re.sub(r"\W|_", "", name):
            hint = "`scheduler=constant` with `ema=0.999`, or a part `average` at the end, comes near to them"
            raise UsageError(
                f"{name}: there are no schedule-free optimizers here, timm has none", hint, field="optimizer"
            )
        hint = nearest(name, list_optimizers()) or "adam, adamw, sgd, or one of timm's"
        raise UsageError(f"{name!r} is not an optimizer", hint, field="optimizer")
    info = get_optimizer_info(name)
    if reason := _refusal(info.opt_class, second_order=info.second_order):
        raise UsageError(f"{name} {reason}", "choose another, such as adamw", field="optimizer")


def _refusal(kind: object, *, second_order: bool) -> str:
    if isinstance(kind, str):
        return f"belongs to the package {kind.partition('.')[0]}, which clfctl does not train with"
    if second_order:
        return "needs second derivatives, which a training step does not compute"
    return ""
