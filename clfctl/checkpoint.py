"""The one-file checkpoint: tensors in safetensors, everything else as JSON in its header, a checksum over both."""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from clfctl.errors import CheckpointError
from clfctl.runs import dump_json

FORMAT = 1
META, CHECKSUM = "clfctl", "xxh3"
MODEL, OPTIMIZER, LOSSES = "model.", "optimizer.", "losses"
GROUP = "group"
PREVIOUS = ".previous"


@dataclass(frozen=True)
class Checkpoint:
    """`tensors` by prefixed name, all on the CPU; `meta` is what JSON can hold."""

    tensors: dict[str, torch.Tensor]
    meta: dict[str, Any]

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """Return the tensors whose names begin with `prefix`, without it."""
        return {name.removeprefix(prefix): each for name, each in self.tensors.items() if name.startswith(prefix)}


def save_checkpoint(path: Path, checkpoint: Checkpoint, *, keep_previous: bool = False) -> None:
    """Write a checkpoint so that at every moment `path` is whole: the old one or the new one.

    With `keep_previous` the old file stays beside it (`previous_of`). Raises CheckpointError if it cannot be written;
    the old file is untouched then.
    """
    # safetensors takes contiguous tensors only; the model's memory format is given back on load.
    tensors = {name: each.detach().cpu().contiguous() for name, each in checkpoint.tensors.items()}
    meta = dump_json({"format": FORMAT, **checkpoint.meta})
    temporary = path.with_name(path.name + ".tmp")
    try:
        save_file(tensors, temporary, {META: meta, CHECKSUM: _checksum(tensors, meta)})
        _flush(temporary)
        if keep_previous and path.exists():
            _keep(path)
        temporary.replace(path)
        _flush(path.parent)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        before = f"the one before it is whole: go on from it with clfctl resume {path.parent.parent}"
        hint = "free some space" + (f"; {before}" if path.exists() else "")
        raise CheckpointError(f"cannot save {path}: {reason}", hint) from None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and verify it. Raises CheckpointError if it is missing, damaged or of a newer format."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if META not in header:
        raise CheckpointError(
            f"{path} is no checkpoint of clfctl", "as first weights it may do: clfctl train --weights"
        )
    if header.get(CHECKSUM) != _checksum(tensors, header[META]):
        raise CheckpointError(f"{path} is damaged: its checksum does not match its content")
    meta = json.loads(header[META])
    if meta["format"] > FORMAT:
        raise CheckpointError(f"{path} was written by a newer clfctl (format {meta['format']})", "update clfctl")
    return Checkpoint(tensors, meta)


def load_last(path: Path) -> tuple[Checkpoint, str]:
    """Return the checkpoint at `path`, or its predecessor and a sentence that says so if it is damaged."""
    try:
        return load_checkpoint(path), ""
    except CheckpointError as error:
        if not previous_of(path).is_file():
            raise
        return load_checkpoint(previous_of(path)), f"{error}; going on from the one before it"


def previous_of(path: Path) -> Path:
    """Return where the predecessor of a checkpoint is kept."""
    return path.with_name(path.stem + PREVIOUS + path.suffix)


def optimizer_tensors(state: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Split an optimizer's state_dict into tensors, named `optimizer.{owner}.{name}`, and values that JSON can hold."""
    tensors, scalars = {}, {}
    # Groups may hold tensors too: timm's Lamb keeps its largest gradient norm as one.
    groups = [(f"{GROUP}{number}", group) for number, group in enumerate(state["param_groups"])]
    for owner, values in [*state["state"].items(), *groups]:
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{OPTIMIZER}{owner}.{name}"] = value
            else:
                scalars[f"{owner}.{name}"] = value
    return tensors, scalars


def optimizer_state(tensors: Mapping[str, torch.Tensor], scalars: Mapping[str, Any]) -> dict[str, Any]:
    """Join what `optimizer_tensors` split; `tensors` are named without the prefix."""
    state: dict[int, dict[str, Any]] = {}
    groups: dict[int, dict[str, Any]] = {}
    for key, value in [*tensors.items(), *scalars.items()]:
        owner, name = key.split(".", 1)
        of = groups if owner.startswith(GROUP) else state
        of.setdefault(int(owner.removeprefix(GROUP)), {})[name] = value
    return {"state": state, "param_groups": [groups[number] for number in sorted(groups)]}


def _checksum(tensors: Mapping[str, torch.Tensor], meta: str) -> str:
    digest = xxhash.xxh3_128(meta.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _keep(path: Path) -> None:
    """Make the old file its own predecessor without a moment in which there is none: a second name, then a rename."""
    linked = path.with_name(path.name + ".old")
    with contextlib.suppress(FileNotFoundError):
        linked.unlink()
    try:
        linked.hardlink_to(path)
    except OSError:  # a file system without hard links
        path.replace(previous_of(path))
        return
    linked.replace(previous_of(path))


def _flush(path: Path) -> None:
    """Wait until a file or folder is on the disk, not only in the memory of the system."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
