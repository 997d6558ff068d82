"""Which parameters are trained at which rate and with which weight decay: ordered rules, and the groups they make."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from typing import Any

from torch import nn

from clfctl.engine.frozen import frozen_names
from clfctl.errors import UsageError
from clfctl.models.source import ModelSource
from clfctl.settings.optimization import OptimizerSettings

# Settings that say which parameters make a group, or what all of a group have.
DIVIDING = ("weight_decay", "freeze", "unfreeze_at", "backbone_lr_scale", "layer_decay")
# Added to by position, not multiplied with: a bias, whatever its shape; and what stands for no part of the image.
_NOT_WEIGHTS = re.compile(
    r"(^|[._])(bias|biases|bias_table|attention_biases|rel_pos_bias|pos_embed\w*|absolute_pos_embed|position_embedding"
    r"|cls_token|dist_token|dist_cls_token|reg_token|register_tokens|mask_token)$|relative_position_bias_table"
)
_NORMALIZATIONS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)


@dataclass(frozen=True)
class Rule:
    """What the parameters get whose names have `pattern` (a regular expression) in them; the first such rule decides.

    `rate_scale` multiplies the learning rate; `weight_decay` None is that of the settings. `starts_at` is the number of
    epochs for which they are frozen, None: all. `name` is that of the param group, by which it is saved.
    """

    name: str
    pattern: str = ""
    rate_scale: float = 1.0
    weight_decay: float | None = None
    starts_at: int | None = 0


def rules_for(model: nn.Module, settings: OptimizerSettings, source: ModelSource | None = None) -> tuple[Rule, ...]:
    """Return the rules of a training: one for all, or weights apart from what is not decayed, or finer ones.

    `source` knows the model's layers, where the settings treat them differently. Raises UsageError for layers that it
    does not have.
    """
    if source and (settings.freeze or settings.layer_decay or settings.backbone_lr_scale != 1):
        return _rules_by_layer(model, settings, source)
    if not settings.weight_decay:
        return (Rule("all"),)
    return Rule("decayed", _exactly(decayed_names(model))), Rule("not decayed", weight_decay=0.0)


def _rules_by_layer(model: nn.Module, settings: OptimizerSettings, source: ModelSource) -> tuple[Rule, ...]:
    """Return a rule for each kind of parameter that there is: of a layer, of the classifier, frozen, decayed.

    The rate falls from the last layer to the first as in BEiT (Bao et al. 2021, arXiv:2106.08254), by timm's layers.
    """
    frozen, head = frozen_names(settings.freeze, model, source), source.head(model)
    decayed = set(decayed_names(model)) if settings.weight_decay else set()
    layers = source.layers(model) if settings.layer_decay else {}
    last = max(layers.values(), default=0)
    if settings.layer_decay and not last:
        hint = "use `backbone_lr_scale=` for all but its classifier"
        raise UsageError("the model has one layer group alone", hint, field="layer_decay")
    members: dict[tuple[int, Rule], list[str]] = defaultdict(list)
    for name in (name for name, parameter in model.named_parameters() if parameter.requires_grad):
        layer, is_head = layers.get(name, last), name in head
        scale = (settings.layer_decay or 1.0) ** (last - layer) * (1.0 if is_head else settings.backbone_lr_scale)
        part = f"layer {layer + 1}" if layers else "backbone"
        if is_head:  # one of several layers has a rate of its own in each
            part = "classifier" if layer == last else f"{part} of the classifier"
        words = ("frozen " if name in frozen else "") + part
        words += ", not decayed" if settings.weight_decay and name not in decayed else ""
        rule = Rule(
            words,
            rate_scale=scale,
            weight_decay=None if name in decayed else 0.0,
            starts_at=settings.unfreeze_at if name in frozen else 0,
        )
        members[layer, rule].append(name)
    found = sorted(members.items(), key=lambda each: each[0][0])
    return tuple(replace(rule, pattern=_exactly(names)) for (_, rule), names in found)


def _exactly(names: Iterable[str]) -> str:
    return f"^(?:{'|'.join(re.escape(name) for name in names)})$"


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

    What the model itself has frozen is left out, and so are groups without parameters.
    """
    members: dict[str, dict[str, nn.Parameter]] = {rule.name: {} for rule in rules}
    for name, parameter in model.named_parameters():
        rule = next((each for each in rules if re.search(each.pattern, name)), None)
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
        # Not in the others, which stay as earlier versions wrote them.
        | ({} if rule.starts_at == 0 else {"starts_at": rule.starts_at})
        for rule in rules
        if members[rule.name]
    ]


def names_by_position(
    model: nn.Module, trained_names: Set[str], saved: Sequence[Mapping[str, Any]]
) -> list[tuple[str, list[str]]]:
    """Return name and parameter names of each group that a checkpoint has; `trained_names` are those of all groups.

    Checkpoints before names have positions alone. Then the groups were two, of matrices and of vectors, or one of all.
    """
    if all("names" in group for group in saved):
        return [(group["name"], list(group["names"])) for group in saved]
    trained = {name: each for name, each in model.named_parameters() if name in trained_names}
    if len(saved) == 1:
        return [("all", list(trained))]
    matrices = [name for name, parameter in trained.items() if parameter.ndim > 1]
    return [("decayed", matrices), ("not decayed", [name for name in trained if name not in set(matrices)])]
