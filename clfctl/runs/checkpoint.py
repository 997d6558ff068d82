"""The one-file checkpoint: tensors in safetensors, everything else as JSON, a checksum over every byte."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
import xxhash

from clfctl.errors import CheckpointError, DamagedError
from clfctl.runs.folder import run_of
from clfctl.runs.header import (
    CHECKSUM_BYTES,
    FORMAT,
    META,
    Header,
    Position,
    Resumption,
    last_or_previous,
    previous_of,
    read_last,
)
from clfctl.storage.files import Piece, hint_of, reason_of, replace_file
from clfctl.storage.json_lines import dump_json, read_json_lines
from clfctl.storage.names import shell
from clfctl.storage.tensor_file import Entry, make_header, read_header
from clfctl.storage.tensor_file import Header as FileHeader

# The last tensor of the file: the hash of every byte before it. A later format keeps this rule, so that a damaged
# version number is found before it is believed.
CHECKSUM = Entry("xxh3", "U8", (CHECKSUM_BYTES,))
MODEL, EMA, MEAN, OPTIMIZER = "model.", "ema.", "mean.", "optimizer."
LOSSES, NORMS = "losses", "norms"
GROUP = "group"
DAMAGED = ".damaged"
UPDATE = "if a newer clfctl wrote it, update clfctl"
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Checkpoint:
    """`tensors` by prefixed name, all on the CPU when read; `meta` is the JSON beside them, read from `path`."""

    tensors: dict[str, torch.Tensor]
    meta: dict[str, Any]
    path: Path = Path()

    @cached_property
    def header(self) -> Header:
        """What the JSON says. Raises CheckpointError if it does not say what it must."""
        try:
            return Header.from_json(self.meta)
        except ValueError as error:
            raise CheckpointError(f"{self.path} cannot be used: {error}", UPDATE) from None

    @property
    def resumption(self) -> Resumption:
        """What a run needs to go on. Raises CheckpointError for a checkpoint without it, such as `best`."""
        try:
            return self.header.going_on()
        except ValueError as error:
            raise CheckpointError(f"{self.path} cannot be used: {error}") from None

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """Return the tensors whose names begin with `prefix`, without it."""
        return {name.removeprefix(prefix): each for name, each in self.tensors.items() if name.startswith(prefix)}


def save_checkpoint(path: Path, checkpoint: Checkpoint, *, keep_previous: bool = False) -> None:
    """Write a checkpoint so that at every moment `path` is whole: the old one or the new one.

    With `keep_previous` the old file stays beside it (`previous_of`). Raises CheckpointError if it cannot be written;
    the old file is untouched then.
    """
    # Falling item size keeps every tensor at a multiple of it, and the checksum the last.
    tensors = dict(sorted(checkpoint.tensors.items(), key=lambda each: (-each[1].element_size(), each[0])))
    try:
        entries = [Entry(name, NAMES[each.dtype], tuple(each.shape)) for name, each in tensors.items()]
    except KeyError as error:
        raise CheckpointError(f"cannot save {path}: tensors of type {error} have no place in it") from None
    header = make_header([*entries, CHECKSUM], {META: dump_json({"format": FORMAT, **checkpoint.meta})})
    try:
        replace_file(path, _pieces(header, tensors), previous_of(path) if keep_previous else None)
    except OSError as error:
        whole = next((each for each in (path, previous_of(path)) if each.is_file()), None)
        before = f"; {whole} is whole: go on with {shell('resume', run_of(path).path)}" if whole else ""
        raise CheckpointError(f"cannot save {path}: {reason_of(error)}", hint_of(error) + before) from None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and verify it.

    Raises DamagedError if it is missing or damaged, CheckpointError if it may not be read or is of a newer format.
    """
    try:
        tensors, metadata = _read(path)
    except PermissionError as error:
        raise CheckpointError(f"{path} cannot be read: {reason_of(error)}", "make it readable for you") from None
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise DamagedError(f"{path} cannot be read: {reason}") from None
    if META not in metadata:
        hint = "it may still serve as first weights: `weights=FILE` of a new run"
        raise DamagedError(f"{path} is not a checkpoint of clfctl", hint)
    try:
        meta = dict(json.loads(metadata[META]))
    except (TypeError, ValueError):
        raise CheckpointError(f"{path} cannot be used: what it says of its run is not readable", UPDATE) from None
    if not isinstance(meta.get("format"), int) or meta["format"] > FORMAT:
        raise CheckpointError(f"{path} was written by a newer clfctl (format {meta.get('format')})", "update clfctl")
    return Checkpoint(tensors, meta, path)


def load_last(path: Path) -> tuple[Checkpoint, str]:
    """Return the checkpoint at `path`, or its predecessor and a sentence about what is lost if it is damaged.

    The damaged file is put aside, so that the next save does not make it the predecessor. Raises CheckpointError if
    neither can be used.
    """
    try:
        found, damage = last_or_previous(path, load_checkpoint, DamagedError)
    except DamagedError as error:
        hint = "train from scratch, or from the best weights if there are any: `weights="
        what = f"nothing to go on from: {error.__cause__}, and {error}"
        raise CheckpointError(what, f"{hint}{path.with_name('best.safetensors')}`") from None
    if damage is None:
        return found, ""
    lost = _lost(path)
    with contextlib.suppress(OSError):
        path.replace(path.with_name(path.name + DAMAGED))
    return found, f"{damage}; going on from the one before it, {lost}"


def _lost(path: Path) -> str:
    """Return what has to be trained again without `path`: by what it says itself, or else by the history."""
    before, after = _position(previous_of(path)), _position(path)
    if before is None:
        return "what came after it is trained again"
    n_epochs = len(read_json_lines(run_of(path).history))
    return before.lost_until(after or Position(n_epochs, 0, before.n_batches))


def _position(path: Path) -> Position | None:
    try:
        return read_last(path).going_on().position
    except (OSError, ValueError):
        return None


class Used(NamedTuple):
    """Which weights of a checkpoint are those to use: what their names begin with, and in words if not the usual."""

    prefix: str
    words: str = ""


def used_part(checkpoint: Checkpoint) -> Used:
    """Return the weights that were evaluated: an average, where the checkpoint has one beside the trained ones."""
    if any(name.startswith(MEAN) for name in checkpoint.tensors):
        return Used(MEAN, "the mean of the weights at the ends of epochs")
    if any(name.startswith(EMA) for name in checkpoint.tensors):
        return Used(EMA, "the moving average of the weights")
    return Used(MODEL)


def optimizer_tensors(state: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Split an optimizer's state_dict into tensors, named `optimizer.{owner}.{name}`, and values that JSON can hold."""
    tensors: dict[str, torch.Tensor] = {}
    scalars: dict[str, Any] = {}
    # Groups may hold tensors too: timm's Lamb keeps its largest gradient norm as one.
    groups = [(f"{GROUP}{number}", group) for number, group in enumerate(state["param_groups"])]
    for owner, values in [*state["state"].items(), *groups]:
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{OPTIMIZER}{owner}.{name}"] = value
            elif is_list_of_tensors(value):  # Kron's preconditioners, one for each dimension of a weight
                tensors |= {f"{OPTIMIZER}{owner}.{name}.{number}": each for number, each in enumerate(value)}
            elif isinstance(value, bool | int | float | str | list | tuple | dict | None):
                scalars[f"{owner}.{name}"] = value
            # All else, such as a dtype, is what the optimizer is made with again.
    return tensors, scalars


def optimizer_state(tensors: Mapping[str, torch.Tensor], scalars: Mapping[str, Any]) -> dict[str, Any]:
    """Join what `optimizer_tensors` split; `tensors` are named without the prefix."""
    state: dict[int, dict[str, Any]] = {}
    groups: dict[int, dict[str, Any]] = {}
    lists: dict[tuple[str, str], dict[int, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.count(".") == 2:
            owner, name, number = key.split(".")
            lists.setdefault((owner, name), {})[int(number)] = value
    joined = {f"{owner}.{name}": [of[each] for each in sorted(of)] for (owner, name), of in lists.items()}
    single = {key: value for key, value in tensors.items() if key.count(".") == 1}
    for key, values in [*single.items(), *joined.items(), *scalars.items()]:
        owner, name = key.split(".", 1)
        to = groups if owner.startswith(GROUP) else state
        to.setdefault(int(owner.removeprefix(GROUP)), {})[name] = values
    return {"state": state, "param_groups": [groups[number] for number in sorted(groups)]}


def is_list_of_tensors(value: Any) -> bool:
    """Return whether a value of an optimizer's state is several tensors."""
    return isinstance(value, list) and bool(value) and all(isinstance(each, torch.Tensor) for each in value)


def _pieces(header: FileHeader, tensors: Mapping[str, torch.Tensor]) -> Iterator[Piece]:
    """Yield the bytes of a checkpoint; each piece is valid until the next is asked for."""
    digest = xxhash.xxh3_128(header.raw)
    yield header.raw
    # One place for all that is not as the file wants it, large enough for any: it stays in the processor's cache,
    # and a new one for every tensor costs more than the copy (measured: 28 ms against 8 for 57 MB).
    scratch = torch.empty(max((each.nbytes for each in tensors.values()), default=0), dtype=torch.uint8)
    for tensor in tensors.values():
        data = tensor.detach()
        if data.device.type != "cpu" or not data.is_contiguous():
            # Channels-last is given back on load: the format knows shapes only.
            data = scratch[: data.nbytes].view(data.dtype).view(data.shape).copy_(data)
        piece = _bytes_of(data)
        digest.update(piece)
        yield piece
    yield digest.digest()


def _read(path: Path) -> tuple[dict[str, torch.Tensor], Mapping[str, str]]:
    """Read all tensors but the checksum; raises ValueError if it is not that of the bytes."""
    # Not through a memory map: a disk that fails, or a file cut short meanwhile, would kill the process.
    with path.open("rb") as file:
        header = read_header(file)
        if os.fstat(file.fileno()).st_size != header.n_bytes:
            raise ValueError("it is cut short, or has bytes after its end")
        digest, tensors, read = xxhash.xxh3_128(header.raw), dict[str, torch.Tensor](), b""
        for entry in header.entries:
            if entry == CHECKSUM:
                read = file.read(CHECKSUM.n_bytes)
                break
            # Memory of its own for every tensor, aligned as torch aligns it: as it was before it was saved.
            tensor = torch.empty(entry.shape, dtype=_dtype(entry))
            piece = _bytes_of(tensor)
            if file.readinto(piece) != entry.n_bytes:
                raise ValueError("it is cut short")
            digest.update(piece)
            tensors[entry.name] = tensor
        if META in header.metadata and read != digest.digest():
            raise ValueError("it is damaged: its checksum does not match its content")
    return tensors, header.metadata


def _dtype(entry: Entry) -> torch.dtype:
    if entry.dtype not in DTYPES:
        raise ValueError(f"{entry.name} is of a kind that clfctl does not write: {entry.dtype}")
    return DTYPES[entry.dtype]


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    """Return the bytes of a contiguous tensor, without a copy."""
    flat: memoryview = tensor.reshape(-1).view(torch.uint8).numpy().data
    return flat
