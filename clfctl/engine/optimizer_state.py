"""An optimizer's state in a checkpoint, and back: what a parameter has gathered goes by the parameter's name."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from clfctl.engine.param_groups import names_by_position
from clfctl.engine.rates import SHARE
from clfctl.errors import CheckpointError
from clfctl.runs.checkpoint import OPTIMIZER, Checkpoint, optimizer_state
from clfctl.settings.optimization import OptimizerSettings

Group = dict[str, Any]


def restore_optimizer(optimizer: Optimizer, model: nn.Module, checkpoint: Checkpoint, *, keeps_groups: bool) -> None:
    """Give an optimizer its saved state; its learning rate is what it was made with, as the settings say today.

    `keeps_groups`: its groups become those of the checkpoint, so that the run goes on to the same bits whatever rules
    are made today; else, where the settings want other groups, they stay as they were made. Raises CheckpointError if
    the model has other parameters.
    """
    saved = optimizer_state(checkpoint.part(OPTIMIZER), checkpoint.resumption.optimizer)
    # The file counts parameters through; the names in its groups say what is counted.
    own = optimizer.param_groups
    named = names_by_position(model, {name for group in own for name in group["names"]}, saved["param_groups"])
    order = [name for _, names in named for name in names]
    values = {name: saved["state"][n] for n, name in enumerate(order) if n in saved["state"]}
    groups = [
        group | {"name": name, "names": names}
        for group, (name, names) in zip(saved["param_groups"], named, strict=True)
    ]
    if sorted(order) != sorted(name for group in own for name in group["names"]):
        raise CheckpointError("the optimizer of the checkpoint was made for other parameters than the model has")
    if not keeps_groups:
        groups = [_value_of(groups, group) for group in own]
    _regroup(optimizer, model, groups)
    order = [name for group in groups for name in group["names"]]
    numbers = {name: number for number, name in enumerate(order)}
    optimizer.load_state_dict(
        {
            "state": {numbers[name]: each for name, each in values.items()},
            "param_groups": [
                group | {"params": [numbers[name] for name in group["names"]]} for group in _complete(optimizer, groups)
            ],
        }
    )
    _lay_out(optimizer)


def kept_decay(settings: OptimizerSettings, checkpoint: Checkpoint) -> str:
    """Return a sentence where a run was trained with another weight decay than its own `settings` say, else nothing.

    Earlier versions let AdamW and some others decay by a default of their own where the settings said 0.
    """
    values = checkpoint.resumption.optimizer
    decays = {key.partition(".")[0]: value for key, value in values.items() if key.endswith(".weight_decay")}
    # One that a schedule moves is what it happens to be.
    found = {value for group, value in decays.items() if group.startswith("group") and f"{group}.{SHARE}" not in values}
    others = sorted(found - {0, settings.weight_decay})
    if not others:
        return ""
    kept = f"the run keeps the weight decay of {others[0]:g} that {settings.optimizer} has applied since it began"
    return f"{kept}, though its settings say {settings.weight_decay:g}"


def _value_of(saved: Sequence[Group], own: Group) -> Group:
    """Return a group of today with what was moved in the saved group of its name, or of its first parameter."""
    same = next((each for each in saved if each["name"] == own["name"]), None)
    before = same or next(each for each in saved if own["names"][0] in each["names"])
    today = ("name", "names", "rate_scale", "weight_decay", "starts_at", SHARE)
    return {key: value for key, value in before.items() if key not in today} | {
        key: own[key] for key in today if key in own
    }


def _complete(optimizer: Optimizer, groups: Sequence[Group]) -> list[Group]:
    """Return saved groups with what JSON could not hold, or an earlier version of the optimizer did not have."""
    complete = []
    for group, own in zip(groups, optimizer.param_groups, strict=True):
        values = {key: value for key, value in own.items() if key != "params"} | group
        # JSON has no tuples: Adam's betas came back as a list.
        values |= {key: tuple(values[key]) for key, value in own.items() if isinstance(value, tuple)}
        values["initial_lr"] = own["initial_lr"]
        complete.append(values)
    return complete


def _regroup(optimizer: Optimizer, model: nn.Module, groups: Sequence[Group]) -> None:
    """Divide the parameters of an optimizer among groups as they are named."""
    own = optimizer.param_groups
    if [group["names"] for group in own] == [group["names"] for group in groups]:
        return
    parameters = dict(model.named_parameters())
    base_lr = own[0]["initial_lr"] / own[0]["rate_scale"]
    plain = {key: value for key, value in own[0].items() if key != "starts_at"}
    optimizer.param_groups = [
        plain
        | {"params": [parameters[name] for name in group["names"]], "name": group["name"], "names": group["names"]}
        | {"initial_lr": base_lr * group.get("rate_scale", 1.0), "rate_scale": group.get("rate_scale", 1.0)}
        for group in groups
    ]


def _lay_out(optimizer: Optimizer) -> None:
    """Give what belongs to a weight the memory format of the weight."""
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.ndim == 4:
                # Saved contiguous; in another memory format the same run would give other bits.
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
