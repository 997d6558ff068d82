"""What the plan sets at a step, written into the optimizer: the one place that does."""

from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer

from clfctl.engine.frozen import has_begun
from clfctl.engine.state import TrainState
from clfctl.errors import UsageError
from clfctl.planning.moved import base_momentum, moves_momentum
from clfctl.planning.plan import Plan, Values
from clfctl.runs.rates import GroupRate
from clfctl.settings.groups import TrainSettings

# What a group had before anything moved it, in checkpoints too: its momentum, and its share of the weight decay.
BEFORE, SHARE = "initial_momentum", "decay_share"


def set_rates(optimizer: Optimizer, values: Values, base_lr: float, t: float) -> None:
    """Write the values of the coming step, at `t` epochs, into every param group.

    Its learning rate keeps its ratio to the base; it is 0 while the group is frozen. So does its weight decay, where
    that is moved: what is not decayed never is.
    """
    for group, rate in zip(optimizer.param_groups, rates_at(optimizer, values, base_lr, t), strict=True):
        group["lr"] = rate
        if values.momentum is not None:
            _set_momentum(group, values.momentum)
        if values.weight_decay is not None:
            group["weight_decay"] = values.weight_decay * group[SHARE]


def rates_at(optimizer: Optimizer, values: Values, base_lr: float, t: float) -> list[float]:
    """Return the rate of every param group in the step at `t` epochs."""
    groups = optimizer.param_groups
    return [values.lr * (group["initial_lr"] / base_lr) if has_begun(group, t) else 0.0 for group in groups]


def note_rates(state: TrainState, base_lr: float) -> None:
    """Note what the step that was just made had: the rate that was written for it, and what is read back of it."""
    cursor = state.cursor
    groups = [
        GroupRate(
            str(group.get("name", number)),
            group["initial_lr"] / base_lr if has_begun(group, cursor.epoch) else 0.0,
            float(group["lr"]),
        )
        for number, group in enumerate(state.optimizer.param_groups)
    ]
    cursor.rates.add(cursor.epoch, cursor.batch, len(cursor.losses), cursor.lr, groups)


def note_what_moves(optimizer: Optimizer, plan: Plan, weight_decay: float) -> None:
    """Let every param group have what it has without a schedule, and keep that where the plan moves it from there.

    So a run whose schedule of them was taken away goes on with what the settings say.
    """
    for group in optimizer.param_groups:
        if BEFORE in group:
            _set_momentum(group, group.pop(BEFORE))
        if SHARE in group:
            group["weight_decay"] = weight_decay * group.pop(SHARE)
        # Nothing more in the others, which stay as earlier versions wrote them.
        if plan.momentum:
            group[BEFORE] = _momentum(group)
        if plan.weight_decay:
            group[SHARE] = group["weight_decay"] / weight_decay


def check_momentum(optimizer: Optimizer, settings: TrainSettings) -> None:
    """Raise UsageError if a schedule moves a momentum that the optimizer has not, or has another value of."""
    if not moves_momentum(settings):
        return
    field = "momentum_schedule" if settings.momentum_schedule else "scheduler"
    own, base = _momentum(optimizer.param_groups[0]), base_momentum(settings)
    if own is None:
        hint = "leave it out" if settings.momentum_schedule else "leave out cycle_momentum"
        what = f"{settings.optimizer} has no momentum that could be moved"
        raise UsageError(what, f"{hint}, or choose another optimizer, such as sgd or adamw", field=field)
    if own != base:
        what = f"the momentum of {settings.optimizer} is {own:g}, and its schedule would begin from {base:g}"
        raise UsageError(what, "state it with `momentum=` or `beta1=`, whichever it has", field=field)


def _momentum(group: Mapping[str, Any]) -> float | None:
    """Return the momentum of a param group, or its beta1; None if it has neither."""
    if "momentum" in group:
        return float(group["momentum"])
    first = group["betas"][0] if group.get("betas") else group.get("beta1")
    return None if first is None else float(first)


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    if "momentum" in group:
        group["momentum"] = momentum
    elif group.get("betas"):
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["beta1"] = momentum
