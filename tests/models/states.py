"""State dicts as others name their tensors, and models to load them into."""

import torch

from clfctl.models.factory import build_model
from clfctl.settings.network import ModelSettings

State = dict[str, torch.Tensor]
HEAD = {"head.weight", "head.bias"}


def build(size: int = 32, **values: object) -> torch.nn.Module:
    """Return a model of ten classes by its settings."""
    return build_model(ModelSettings.model_validate({"pretrained": False} | values), 10, size).model


def named(state: State, prefix: str) -> State:
    """Return a state dict with a prefix before each name."""
    return {prefix + name: tensor for name, tensor in state.items()}


def called_otherwise(state: State) -> State:
    """Return the same network in another's code: `stages.0.1.weight` is `_stages0_1.weight`."""
    renamed = {}
    for name, each in state.items():
        module, _, kind = name.rpartition(".")
        renamed[f"_{module.replace('.', '_')}.{kind}"] = each
    return renamed
