"""The tensors of a weights file, however its trainer wrapped or divided them; no code of the file is ever run."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from clfctl.errors import ClfctlError, ModelError, UsageError, first_line
from clfctl.models.weights_content import Found, Options, StandIn, unwrapped
from clfctl.runs.checkpoint import Checkpoint, used_part
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import read_header
from clfctl.storage.files import reason_of

INDEX = ".index.json"
# What a folder of weights has, as the hub and its libraries write it; the first that is there is taken.
IN_FOLDERS = ("model.safetensors", f"model.safetensors{INDEX}", "pytorch_model.bin", f"pytorch_model.bin{INDEX}")
CONFIG = "config.json"
# Data of other trainers that stands beside the tensors: read as a stand-in that keeps nothing.
_DATA = (
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
)
_STAND_INS: dict[str, type[StandIn]] = {"argparse.Namespace": Options} | dict.fromkeys(_DATA, StandIn)


def read_state(path: Path) -> Found:
    """Return the tensors of a .safetensors, .pth, .pt, .bin or .ckpt file by name.

    A file may be divided: then `path` is its index (.index.json), or the folder that all of it is in. Raises UsageError
    if there is no such file, ModelError if it cannot be read, or holds other things.
    """
    file = _in_folder(path) if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"{file} does not exist", field="weights")
    found = _ours(file) or unwrapped(_of_shards(file) if file.name.endswith(INDEX) else _of_file(file))
    if not found.tensors:
        hint = "save one with torch.save(model.state_dict(), FILE)"
        raise ModelError(f"{file} does not hold a state dict", hint, field="weights")
    return found if found.network else replace(found, network=_network_beside(file))


def _in_folder(folder: Path) -> Path:
    try:
        return next(file for name in IN_FOLDERS if (file := folder / name).is_file())
    except StopIteration:
        is_run = RunFolder(folder).config.is_file()
        hint = f"a run of clfctl is trained from with `start_from={folder}`" if is_run else "give the file itself"
        raise UsageError(f"{folder} has none of {', '.join(IN_FOLDERS)}", hint, field="weights") from None


def _ours(file: Path) -> Found | None:
    """Return the model of a checkpoint of clfctl, without its optimizer; None for any other file."""
    try:
        network = read_header(file).model
    except (OSError, ValueError):
        return None
    checkpoint = Checkpoint(_of_file(file), {})
    used = used_part(checkpoint)
    return Found(checkpoint.part(used.prefix), used.words, network, is_ours=True)


def _of_shards(index: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of all files that an index lists; they lie beside it."""
    try:
        places = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
        names = sorted({str(name) for name in places.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "it is not an index of weights"
        raise ModelError(f"{index} cannot be read: {reason}", field="weights") from None
    if elsewhere := [name for name in names if Path(name).name != name or "\\" in name]:
        what = f"{index} names a file that is not beside it: {elsewhere[0]}"
        raise ModelError(what, "the files of an index lie in its folder", field="weights")
    if missing := [name for name in names if not (index.parent / name).is_file()]:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        what = f"{index} needs {missing[0]}{more}, and there is no such file beside it"
        raise ModelError(what, f"it lists {len(names)} files: put all of them into {index.parent}", field="weights")
    tensors: dict[str, torch.Tensor] = {}
    for name in names:
        tensors |= unwrapped(_of_file(index.parent / name)).tensors
    if lost := [name for name in places if name not in tensors]:
        what = f"{index} lists tensors that its files do not have, such as {lost[0]}"
        raise ModelError(what, "download them again: they are not of one version", field="weights")
    return tensors


def _network_beside(file: Path) -> str:
    """Return the name that the configuration beside a file of the hub gives its network, empty if none."""
    if file.name not in IN_FOLDERS:
        return ""
    try:
        said = json.loads((file.parent / CONFIG).read_text(encoding="utf-8"))
        return str(said.get("architecture", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _of_file(path: Path) -> Any:
    """Return what is in a file that is not divided. Raises ModelError if it cannot be read."""
    try:
        return load_file(path) if path.suffix == ".safetensors" else _load_data_only(path)
    except Exception as error:
        # A damaged pickle raises whatever its reader stumbles over (KeyError, AttributeError, UnpicklingError, …).
        raise _unreadable(path, error) from None


def _load_data_only(path: Path) -> Any:
    """Return what torch.save wrote, made of tensors, containers and stand-ins: no other class, and no code is run."""
    stand_ins: list[Any] = [(each, name) for name, each in _STAND_INS.items()]
    with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
        warnings.simplefilter("ignore")  # of old formats: what matters is raised
        return torch.load(path, map_location="cpu", weights_only=True)


def _unreadable(path: Path, error: Exception) -> ClfctlError:
    hint = "it must be .safetensors, or a .pth state dict"
    if (known := _known_otherwise(path, error))[0]:
        return ModelError(f"{path} cannot be read: {known[0]}", known[1], field="weights")
    # torch's own words on unpickling are long, and advise to run the file's code.
    reason = "it holds more than tensors, or is damaged"
    if isinstance(error, OSError | RuntimeError | SafetensorError) and str(error).strip():
        reason = first_line(error)
    elif classes := _classes_in(path):
        reason = f"it holds objects of {classes[0]}, and reading them would run code"
        state = "content.get('state_dict') or content['model']"
        if any(name.startswith("torch.nn.") for name in classes):
            reason = "it is a whole pickled model, and reading it would run code"
            state = "(content['model'] if isinstance(content, dict) else content).state_dict()"
        load = f"content = torch.load({str(path)!r}, weights_only=False)"
        hint = f"if you trust it, make a state dict of it in Python: {load}; torch.save({state}, 'new.pth')"
    return ModelError(f"{path} cannot be read: {reason}", hint, field="weights")


def _known_otherwise(path: Path, error: Exception) -> tuple[str, str]:
    """Return what a file is that is often given for weights, and what to do about it; nothing for any other."""
    if "TorchScript" in str(error):
        make = f"torch.save(torch.jit.load({str(path)!r}).state_dict(), 'new.pth')"
        return (
            "it is a program (TorchScript), not weights",
            f"if you trust it, make a state dict of it in Python: {make}",
        )
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip().lower()
    except OSError:
        return "", ""
    if start.startswith(b"version https://git-lfs"):
        return "it stands for a file that was not downloaded (Git LFS)", "fetch it with: git lfs pull"
    if start.startswith((b"<!doctype html", b"<html")):
        return "it is a web page", "download the file itself, not the page about it"
    return "", ""


def _classes_in(path: Path) -> list[str]:
    """Return what a file of torch's wants to be made of beyond data, by name; nothing is imported or made."""
    try:
        names: list[str] = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # of an old format, or damaged: as above
        return []
    return sorted(set(names) - set(_STAND_INS))
