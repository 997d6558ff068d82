"""Weights from a file: safetensors (ours or anyone's) or a PyTorch state dict, never unpickling code."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from clfctl.errors import ModelError, UsageError

# What others wrap a state dict in, and what they put before its names.
WRAPPERS = ("state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "_orig_mod.", "model.")


def load_weights(model: nn.Module, path: Path) -> list[str]:
    """Fill a model from a file; return the names that kept their first values: those of a head of another size.

    Raises UsageError if the file does not exist, ModelError if it cannot be read or belongs to another model.
    """
    found = _without_prefix(read_state(path), model.state_dict())
    own = model.state_dict()
    head = _head_names(model)
    wrong = [name for name, tensor in found.items() if name in own and tensor.shape != own[name].shape]
    new_head = [name for name in own if name in head and (name in wrong or name not in found)]
    missing = [name for name in own if name not in found and name not in head]
    wrong = [name for name in wrong if name not in head]
    if missing or wrong:
        raise ModelError(f"--weights: {path} is of another model: {_difference(own, found, missing, wrong)}", _hint())
    model.load_state_dict({name: found[name] for name in own if name not in new_head}, strict=False)
    return new_head


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a .safetensors, .pth or .pt file by name."""
    if not path.is_file():
        raise UsageError(f"--weights: {path} does not exist")
    try:
        state = dict(load_file(path)) if path.suffix == ".safetensors" else _load_tensors_only(path)
    except Exception as error:
        # A damaged pickle raises whatever its reader stumbles over (KeyError, AttributeError, UnpicklingError, …).
        # torch's own words on unpickling are long, and advise to run the file's code.
        in_words = isinstance(error, OSError | RuntimeError | SafetensorError) and str(error).strip()
        reason = str(error).splitlines()[0] if in_words else "it holds more than tensors, or is damaged"
        raise ModelError(
            f"--weights: {path} cannot be read: {reason}", "it must be .safetensors, or a .pth state dict"
        ) from None
    while isinstance(state, Mapping) and (inner := next((state[key] for key in WRAPPERS if key in state), None)):
        state = inner
    if not isinstance(state, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise ModelError(f"--weights: {path} holds no state dict", "save one with torch.save(model.state_dict(), FILE)")
    return dict(state)


def _load_tensors_only(path: Path) -> Any:
    """Return what torch.save wrote, made of tensors and containers: any other class is refused, no code is run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old formats: what matters is raised
        return torch.load(path, map_location="cpu", weights_only=True)


def _without_prefix(found: dict[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take away the prefix that makes the most names the model's own; other names of the file go with it."""

    def named(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in found.items() if name.startswith(prefix)}

    return max((named(prefix) for prefix in ("", *PREFIXES)), key=lambda names: len(names.keys() & own.keys()))


def _head_names(model: nn.Module) -> set[str]:
    head: Any = model.get_classifier()  # type: ignore[operator]  # every model of the factory has timm's interface
    heads = {id(module) for module in (head if isinstance(head, tuple) else (head,))}
    return {
        f"{name}.{parameter}"
        for name, module in model.named_modules()
        if id(module) in heads
        for parameter in module.state_dict()
    }


def _difference(
    own: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], missing: list[str], wrong: list[str]
) -> str:
    if wrong:
        name = wrong[0]
        shapes = f"{tuple(found[name].shape)}, the model's is {tuple(own[name].shape)}"
        return f"{len(wrong)} tensors have another shape; {name} is {shapes}"
    return f"it lacks {len(missing)} of the model's {len(own)} tensors, as {missing[0]}"


def _hint() -> str:
    return "choose the model that the weights are of with --model"
