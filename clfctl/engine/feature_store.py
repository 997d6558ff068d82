"""Features kept on disk: computed once for a network, its preprocessing, the views and the images."""

import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from io import BufferedReader
from pathlib import Path

import numpy as np
import xxhash
from torch import nn

from clfctl.data.cache.folder import lock_for, sweep
from clfctl.data.cache.key import content_digest
from clfctl.data.pixels.transform import Preprocess
from clfctl.data.sources.base import Part
from clfctl.engine.features import IN_MEMORY, Features, Room, Seen
from clfctl.errors import WriteError
from clfctl.storage.files import cache_folder, explained, hint_of, in_bytes, reason_of, replace_file, temporary_for
from clfctl.storage.lock import Holder, locked_in_turn
from clfctl.storage.tensor_file import Entry, make_header, read_header

# Raise it when features are computed in another way than before.
FORMAT = 2
SUFFIX = ".features"
_KEY, _DIGEST = "clfctl features", "xxh3"
_FEATURES, _PLACES = "features", "places"


def digest_of(model: nn.Module, head: set[str]) -> str:
    """Return what identifies the weights of a network but for its classifier, 16 hexadecimal digits."""
    digest = xxhash.xxh3_64()
    for name, tensor in model.state_dict().items():
        if name not in head:
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).numpy().data)
    return digest.hexdigest()


def key_of(network: str, weights: str, dtype: str, preprocess: Preprocess, n_views: int, part: Part) -> str:
    """Return all that features depend on, as a line of JSON; empty for images that have no digest.

    `network` is its name: weights of the same names and shapes may be computed with in another way. Stats every image
    file.
    """
    try:
        images = content_digest(part.source, np.asarray(part.indices, np.int64)).hex()
    except TypeError:  # of a kind of source that is not known
        return ""
    of = {"network": network, "weights": weights, "dtype": dtype}
    return json.dumps({"format": FORMAT, **of, "views": n_views, "images": images, **asdict(preprocess)})


def kept_features(
    folder: Path | None, title: str, key: str, compute: Callable[[], Seen], tell: Callable[[str], None]
) -> tuple[Seen, bool]:
    """Return the features of a key, from the disk if they are there, and whether they were; else compute and keep them.

    `title` begins the name of the file, of which there is one for each title and key; without a key nothing is kept.
    Safe with two processes: the second waits for the first, and takes what it wrote. Where they cannot be kept, `tell`
    says why.
    """
    computed: list[Seen] = []

    def once() -> Seen:
        if not computed:
            computed.append(compute())
        return computed[0]

    try:
        return _kept(folder, title, key, once, tell) if key else (once(), False)
    except WriteError as error:
        tell(f"The features are not kept for the next time: {error}")
        return once(), False


def room_in(folder: Path | None) -> Room:
    """Return where features are put while they are computed: into memory, or a file of the folder without a name.

    Raises WriteError where there is no room for that.
    """

    def room(shape: tuple[int, int, int]) -> Features:
        n_bytes = 4 * math.prod(shape)
        if n_bytes <= IN_MEMORY:
            return np.zeros(shape, np.float32)
        place = _made(folder)
        try:
            with tempfile.TemporaryFile(dir=place) as file:
                if hasattr(os, "posix_fallocate"):
                    # Without its blocks, a disk that is full would end the process at a write into the array.
                    os.posix_fallocate(file.fileno(), 0, n_bytes)
                return np.memmap(file, np.float32, "w+", shape=shape)
        except OSError as error:
            what = f"{in_bytes(n_bytes)} of features do not fit into {place}: {reason_of(error)}"
            raise WriteError(what, hint_of(error), field="cache_dir") from None

    return room


def _kept(
    folder: Path | None, title: str, key: str, compute: Callable[[], Seen], tell: Callable[[str], None]
) -> tuple[Seen, bool]:
    folder = _made(folder)
    stem = re.sub(r"[^\w.-]+", "-", title)[:80].strip("-.")
    path = folder / f"{stem}-{xxhash.xxh3_64_hexdigest(key.encode())}{SUFFIX}"
    if (found := _read(path, key)) is not None:
        return found, True

    def on_wait(holder: Holder) -> None:
        tell(f"Waiting for {holder}, which computes these features")

    lock = lock_for(folder, path.stem)
    with locked_in_turn(lock, on_wait):
        if (found := _read(path, key)) is not None:
            return found, True
        sweep(folder, lock, SUFFIX, _lock_of)
        seen = compute()
        _write(path, key, seen)
        # What was put into a file is there twice now.
        in_file = _read(path, key) if seen.features.nbytes > IN_MEMORY else None
        return in_file or seen, False


def _lock_of(temporary: Path) -> Path:
    return lock_for(temporary.parent, temporary.name.rpartition(f"{SUFFIX}.")[0])


def _made(folder: Path | None) -> Path:
    folder = folder or cache_folder() / "features"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder} cannot be made: {reason_of(error)}", hint_of(error), field="cache_dir") from None
    return folder


def _write(path: Path, key: str, seen: Seen) -> None:
    # Falling item size, as the format wants it.
    entries = [Entry(_PLACES, "I64", seen.places.shape), Entry(_FEATURES, "F32", seen.features.shape)]
    contents = [np.ascontiguousarray(each).reshape(-1).view(np.uint8).data for each in (seen.places, seen.features)]
    header = make_header(entries, {_KEY: key, _DIGEST: _digest(contents)})
    with explained(path):
        replace_file(path, [header.raw, *contents], temporary=temporary_for(path))


def _digest(contents: Iterable[bytearray | memoryview]) -> str:
    digest = xxhash.xxh3_64()
    for each in contents:
        digest.update(each)
    return digest.hexdigest()


def _read(path: Path, key: str) -> Seen | None:
    """Return the features of a file; None if there is none, or it is not whole, or of another key."""
    try:
        with path.open("rb") as file:
            header = read_header(file)
            if header.metadata.get(_KEY) != key:
                return None
            if header.n_bytes != path.stat().st_size:
                return None
            contents = [_content(file, entry.n_bytes) for entry in header.entries]
            if _digest(contents) != header.metadata.get(_DIGEST):
                return None
            places, features = (
                np.frombuffer(content, dtype).reshape(entry.shape)
                for entry, content, dtype in zip(header.entries, contents, (np.int64, np.float32), strict=True)
            )
            return Seen(features, places)
    except (OSError, ValueError, KeyError):
        return None


def _content(file: BufferedReader, n_bytes: int) -> bytearray | memoryview:
    """Return the next bytes of a file: in memory, or, of many, as they lie on the disk, where changes do not go to."""
    if n_bytes <= IN_MEMORY:
        content = bytearray(n_bytes)
        file.readinto(content)
        return content
    start = file.tell()
    in_file = np.memmap(file, np.uint8, "c", start, (n_bytes,))
    file.seek(start + n_bytes)
    return in_file.data
