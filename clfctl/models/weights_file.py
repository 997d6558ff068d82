"""The tensors of a weights file, however its trainer wrapped them; no code of the file is ever run."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from clfctl.errors import ModelError, UsageError, first_line

# What others wrap a state dict in. An average of the weights is what their trainers evaluate.
AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema")
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "module")
N_WRAPPERS = 8
# Data of other trainers that stands beside the tensors: read as a stand-in that keeps nothing.
_DATA = (
    "argparse.Namespace",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
)


@dataclass(frozen=True)
class Found:
    """The tensors of a file by name, and whether they are an average of the weights (EMA)."""

    tensors: dict[str, torch.Tensor]
    is_average: bool = False


class _StandIn:
    """Takes the place of an object of another program: takes whatever it is given, and keeps none of it."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def read_state(path: Path) -> Found:
    """Return the tensors of a .safetensors, .pth, .pt or .ckpt file by name.

    Raises UsageError if the file does not exist, ModelError if it cannot be read, or holds other things.
    """
    if not path.is_file():
        raise UsageError(f"{path} does not exist", field="weights")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _load_data_only(path)
    except Exception as error:
        # A damaged pickle raises whatever its reader stumbles over (KeyError, AttributeError, UnpicklingError, …).
        raise _unreadable(path, error) from None
    return _unwrapped(path, content)


def _load_data_only(path: Path) -> Any:
    """Return what torch.save wrote, made of tensors, containers and stand-ins: no other class, and no code is run."""
    with warnings.catch_warnings(), torch.serialization.safe_globals([(_StandIn, name) for name in _DATA]):
        warnings.simplefilter("ignore")  # of old formats: what matters is raised
        return torch.load(path, map_location="cpu", weights_only=True)


def _unreadable(path: Path, error: Exception) -> ModelError:
    hint = "it must be .safetensors, or a .pth state dict"
    # torch's own words on unpickling are long, and advise to run the file's code.
    reason = "it holds more than tensors, or is damaged"
    if isinstance(error, OSError | RuntimeError | SafetensorError) and str(error).strip():
        reason = first_line(error)
    elif classes := _classes_in(path):
        reason = f"it holds objects of {classes[0]}, and reading them would run code"
        if any(name.startswith("torch.nn.") for name in classes):
            reason = "it is a whole pickled model, and reading it would run code"
        hint = (
            "if you trust it, make a state dict of it in Python: "
            f"content = torch.load({str(path)!r}, weights_only=False); "
            "torch.save(content.state_dict() if hasattr(content, 'state_dict') else content['state_dict'], 'new.pth')"
        )
    return ModelError(f"{path} cannot be read: {reason}", hint, field="weights")


def _classes_in(path: Path) -> list[str]:
    """Return what a file of torch's wants to be made of beyond data, by name; nothing is imported or made."""
    try:
        names: list[str] = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # of an old format, or damaged: as above
        return []
    return sorted(set(names) - set(_DATA))


def _unwrapped(path: Path, content: Any) -> Found:
    is_average = False
    # No trainer wraps deeper, and a file that refers to itself would never end.
    for _ in range(N_WRAPPERS):
        if not isinstance(content, Mapping):
            break
        inside = ((key, content[key]) for key in (*AVERAGES, *WRAPPERS) if isinstance(content.get(key), Mapping))
        key, inner = next(inside, ("", None))
        if inner is None:
            break
        content, is_average = inner, is_average or key in AVERAGES
    # Numbers and texts beside tensors are what a trainer counted.
    values = dict(content) if isinstance(content, Mapping) else {}
    tensors = {name: each for name, each in values.items() if isinstance(each, torch.Tensor)}
    others = [each for each in values.values() if not isinstance(each, torch.Tensor | int | float | str | None)]
    if not tensors or others:
        hint = "save one with torch.save(model.state_dict(), FILE)"
        raise ModelError(f"{path} does not hold a state dict", hint, field="weights")
    return Found(tensors, is_average)
