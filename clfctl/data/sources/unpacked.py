"""Packed files of which single images are asked for: unpacked once, into clfctl's folder among the user's caches."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import xxhash

from clfctl.errors import DataError
from clfctl.storage.files import (
    ABANDONED_S,
    TEMPORARY,
    Piece,
    cache_folder,
    explained,
    in_bytes,
    replace_file,
    temporary_for,
)

_POINTER = b"version https://git-lfs"


def unpack_folder(cache_dir: Path | None) -> Path:
    """Return the folder that files are unpacked into: in the folder for caches that was chosen, or the user's."""
    return (cache_dir if cache_dir else cache_folder()) / "unpacked"


def place_of(packed: Path, suffix: str, folder: Path) -> Path:
    """Return where a file is unpacked to: another place, size or time of change is another name."""
    return folder / f"{_stem(packed)}{_stamp(packed)}{suffix}"


def unpack(packed: Path, place: Path, n_bytes: int, pieces: Iterator[Piece]) -> None:
    """Write what a file holds to its place; what it held before it changed is removed.

    `n_bytes` is about what is needed. Raises DataError if that is not free, WriteError if it cannot be written.
    """
    with explained(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        for old in place.parent.glob(f"{_stem(packed)}*"):
            if old == place:
                continue  # another process has just made it
            with contextlib.suppress(OSError):
                # What is written to now is another process's; what has not been for a day is what a killed one left.
                if not old.name.endswith(TEMPORARY) or time.time() - old.stat().st_mtime > ABANDONED_S:
                    old.unlink()
        free = shutil.disk_usage(place.parent).free
        if n_bytes > free:
            what = f"{packed} takes about {in_bytes(n_bytes)} unpacked, and {place.parent} has {in_bytes(free)} free"
            raise DataError(what, "free some space, or choose another folder with `cache_dir=`", field="data")
        replace_file(place, pieces, temporary=temporary_for(place))  # two may unpack the same file at once


def check_is_here(path: Path) -> None:
    """Raise DataError if a file of a cloned repository is only a pointer to its content. Raises OSError as `open`."""
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            what = f"{path} is a pointer of Git LFS, not the file itself"
            raise DataError(what, "fetch the files of the repository: git lfs pull", field="data")


def _stem(packed: Path) -> str:
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "._") else "_" for each in packed.name)
    return f"{plain[:60]}-{xxhash.xxh3_64_hexdigest(os.fsencode(packed.resolve()))[:10]}-"


def _stamp(packed: Path) -> str:
    status = packed.stat()
    return xxhash.xxh3_64_hexdigest(f"{status.st_size} {status.st_mtime_ns}".encode())[:10]
