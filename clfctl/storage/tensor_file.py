"""The header of a safetensors file, read and written without torch: what `clfctl runs` shows of a checkpoint."""

import json
import math
import os
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

# Bytes per value, under the names of the format: https://github.com/huggingface/safetensors#format
ITEM_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
METADATA = "__metadata__"
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000  # as the library has it: a damaged length must not ask for all memory


@dataclass(frozen=True)
class Entry:
    """A tensor in a file: its name, dtype as the format calls it, and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """Bytes of its values."""
        return ITEM_BYTES[self.dtype] * math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """`raw` is the length and the JSON as they stand in the file; `entries` are in the order of their bytes."""

    raw: bytes
    entries: tuple[Entry, ...]
    metadata: Mapping[str, str]

    @property
    def n_bytes(self) -> int:
        """Bytes of the whole file."""
        return len(self.raw) + sum(entry.n_bytes for entry in self.entries)


def make_header(entries: Iterable[Entry], metadata: Mapping[str, str]) -> Header:
    """Return the header of a file that holds `entries` in the order given, which should be by falling item size."""
    entries, described, start = tuple(entries), dict[str, Any](), 0
    for entry in entries:
        end = start + entry.n_bytes
        described[entry.name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": (start, end)}
        start = end
    text = json.dumps({METADATA: metadata, **described}, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)  # values begin at a multiple of 8
    return Header(len(text).to_bytes(_LENGTH_BYTES, "little") + text, entries, metadata)


def read_header(file: BinaryIO) -> Header:
    """Read a header from the beginning of a file. Raises ValueError, with the reason, if there is none."""
    length = file.read(_LENGTH_BYTES)
    n_bytes = int.from_bytes(length, "little")
    if len(length) < _LENGTH_BYTES:
        raise ValueError("it is empty" if not length else "it is cut short")
    if n_bytes > _MAX_HEADER_BYTES:
        raise ValueError("it is not a safetensors file")
    text = file.read(n_bytes)
    if len(text) < n_bytes:
        raise ValueError("it is cut short")
    try:
        described = json.loads(text)
        metadata = {name: str(text) for name, text in described.pop(METADATA, {}).items()}
        found = sorted(((_span(value), _entry(name, value)) for name, value in described.items()), key=itemgetter(0))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError("its header cannot be read") from None
    header = Header(length + text, tuple(entry for _, entry in found), metadata)
    _check_order(found)
    return header


def read_metadata(path: Path) -> Mapping[str, str]:
    """Return the texts that a file holds beside its tensors. Raises OSError or ValueError if it cannot be read."""
    with path.open("rb") as file:
        return read_header(file).metadata


def read_numbers(path: Path, name: str) -> Sequence[float]:
    """Return the float64 numbers of a tensor in a row, none if the file has no such tensor; they are not verified.

    Raises OSError or ValueError if they cannot be read.
    """
    numbers = array("d")
    with path.open("rb") as file:
        header = read_header(file)
        before = list(takewhile(lambda entry: entry.name != name, header.entries))
        if len(before) < len(header.entries):
            entry = header.entries[len(before)]
            file.seek(sum(each.n_bytes for each in before), os.SEEK_CUR)
            values = file.read(entry.n_bytes)
            if entry.dtype != "F64" or len(values) < entry.n_bytes:
                raise ValueError(f"it does not hold the numbers of {name}")
            numbers.frombytes(values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _entry(name: str, value: Mapping[str, Any]) -> Entry:
    shape = tuple(int(size) for size in value["shape"])
    if value["dtype"] not in ITEM_BYTES or any(size < 0 for size in shape):
        raise ValueError
    return Entry(name, value["dtype"], shape)


def _span(value: Mapping[str, Any]) -> tuple[int, int]:
    start, end = value["data_offsets"]
    return int(start), int(end)


def _check_order(found: Iterable[tuple[tuple[int, int], Entry]]) -> None:
    position = 0
    for (start, end), entry in found:
        if start != position or end - start != entry.n_bytes:
            raise ValueError(f"its header contradicts itself at {entry.name}")
        position = end
