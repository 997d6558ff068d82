"""Which parameters are trained at which rate and with which weight decay: ordered rules, and the groups they make."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from torch import nn

# Added to by position, not multiplied with: a bias, whatever its shape; and what stands for no part of the image.
_NOT_WEIGHTS = re.compile(
    r"(^|[._])(bias|biases|bias_table|attention_biases|rel_pos_bias|pos_embed\w*|absolute_pos_embed|position_embedding"
    r"|cls_token|dist_token|dist_cls_token|reg_token|register_tokens|mask_token)$|relative_position_bias_table"
)
_NORMALIZATIONS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)


@dataclass(frozen=True)
class Rule:
    """What the parameters get whose names have `pattern` (a regular expression) in them; the first such rule decides.

    `rate_scale` multiplies the learning rate; `weight_decay` None is that of the settings. A frozen parameter is not
    trained. `name` is that of the param group, by which it is saved.
    """

    name: str
    pattern: str = ""
    rate_scale: float = 1.0
    weight_decay: float | None = None
    is_frozen: bool = False


def rules_for(model: nn.Module, weight_decay: float) -> tuple[Rule, ...]:
    """Return the rules of a training: one for all, or weights apart from what is not decayed."""
    if not weight_decay:
        return (Rule("all"),)
    decayed = "|".join(re.escape(name) for name in decayed_names(model))
    return Rule("decayed", f"^(?:{decayed})$"), Rule("not decayed", weight_decay=0.0)


def decayed_names(model: nn.Module) -> list[str]:
    """Return the weights: neither biases nor normalization, nor what the model says is not to be decayed."""
    listed: Iterable[str] = getattr(model, "no_weight_decay", tuple)()
    patterns = tuple(listed)
    normalizing = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, _NORMALIZATIONS)
        for parameter in module.parameters(recurse=False)
    }
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1
        and id(parameter) not in normalizing
        and not _NOT_WEIGHTS.search(name)
        and not any(name == pattern or fnmatch(name, pattern) for pattern in patterns)
    ]


def make_groups(model: nn.Module, rules: Sequence[Rule], lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Return the param groups of the rules, in their order, with the names of their parameters.

    Freezes what a rule says is frozen; what is frozen already is left out. Groups without parameters are left out.
    """
    members: dict[str, dict[str, nn.Parameter]] = {rule.name: {} for rule in rules}
    for name, parameter in model.named_parameters():
        rule = next((each for each in rules if re.search(each.pattern, name)), None)
        if rule and rule.is_frozen:
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            if rule is None:
                raise ValueError(f"no rule says how {name} is trained")
            members[rule.name][name] = parameter
    return [
        {
            "params": list(members[rule.name].values()),
            "name": rule.name,
            "names": list(members[rule.name]),
            "rate_scale": rule.rate_scale,
            "lr": lr * rule.rate_scale,
            "weight_decay": weight_decay if rule.weight_decay is None else rule.weight_decay,
        }
        for rule in rules
        if members[rule.name]
    ]


def names_by_position(model: nn.Module, saved: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return name and parameter names of each group that a checkpoint has.

    Checkpoints before names have positions alone. Then the groups were two, of matrices and of vectors, or one of all.
    """
    if all("names" in group for group in saved):
        return [(group["name"], list(group["names"])) for group in saved]
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    if len(saved) == 1:
        return [("all", list(trained))]
    matrices = [name for name, parameter in trained.items() if parameter.ndim > 1]
    return [("decayed", matrices), ("not decayed", [name for name in trained if name not in set(matrices)])]
