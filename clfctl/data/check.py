"""Checking every image before training does: what cannot be decoded, and what is there twice. No torch here."""

import os
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from clfctl.data.ahead import work_ahead

# Every kind of finding, worst first, with what it means.
KINDS = {
    "unreadable": "cannot be read or decoded",
    "empty": "has no bytes",
    "not-an-image": "is not in a known image format",
    "truncated": "ends too early",
    "bomb": "has more pixels than Pillow decodes",
    "tiny": "is smaller than the minimum size",
    "two-classes": "the same file in two classes",
    "leak": "the same file in training and validation or test",
    "duplicate": "the same file twice",
}
# Parts of the data, most precious first: of copies in several parts, those of the first are kept.
PARTS = ("test", "testing", "val", "valid", "validation", "train", "")
AT_ONCE, AHEAD = 16, 3
BLOCK_BYTES = 1 << 20
# How files of the formats begin: one that begins like this but is not an image was cut off in its header.
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
_DIGEST_BYTES = 16


class Place(NamedTuple):
    """Where an image belongs: the part of the data (`train`, `val`, …; empty where there are none) and its class."""

    part: str
    class_name: str


@dataclass(frozen=True)
class Finding:
    """Something wrong with a file; `same_as` is the file that it is a copy of."""

    kind: str
    file: str
    reason: str
    same_as: str = ""


def place_in_folder(name: str, has_parts: bool) -> Place:
    """Return where an image of a data folder belongs, by its name relative to the folder."""
    folders = name.split("/")[:-1]
    part = folders.pop(0) if has_parts and folders else ""
    return Place(part, folders[0] if folders else "")


def check_files(
    root: str,
    names: Sequence[str],
    place_of: Callable[[int], Place],
    *,
    workers: int,
    min_size: int,
    on_files: Callable[[int], None],
) -> list[Finding]:
    """Return what is wrong with the files, by their order; `names` are relative to `root`.

    `on_files` is called in this thread with the number of files that were done since its last call. `min_size` is the
    shortest side that is not tiny, in pixels. What is kept of a file without a finding is 16 bytes.
    """
    digests = np.zeros((len(names), _DIGEST_BYTES // 8), np.uint64)
    bad: dict[int, Finding] = {}
    with warnings.catch_warnings():
        # Of Pillow's, about metadata and large images: what matters here is whether it decodes.
        warnings.simplefilter("ignore")
        for start, results in _read_all(root, names, workers, min_size):
            for index, result in enumerate(results, start):
                if isinstance(result, Finding):
                    bad[index] = result
                else:
                    digests[index] = np.frombuffer(result, np.uint64)
            on_files(len(results))
    whole = np.setdiff1d(np.arange(len(names)), np.fromiter(bad, np.int64, len(bad)), assume_unique=True)
    for copies in _copies(digests, whole):
        bad |= _judge_copies(names, copies, place_of)
    return [bad[index] for index in sorted(bad)]


def _read_all(
    root: str, names: Sequence[str], workers: int, min_size: int
) -> Iterator[tuple[int, list[Finding | bytes]]]:
    """Yield the first index and the results of some files at a time, in order; few wait at any time."""

    def read(start: int) -> tuple[int, list[Finding | bytes]]:
        return start, [read_or_note(root, name, min_size) for name in names[start : start + AT_ONCE]]

    # Threads, since decoders release the interpreter's lock.
    starts = range(0, len(names), AT_ONCE)
    yield from work_ahead(read, starts, workers=workers, n_ahead=workers * AHEAD, name="check")


def read_or_note(root: str, name: str, min_size: int) -> Finding | bytes:
    """Decode a file; return what is wrong with it, or the digest (xxh3, 16 bytes) of its content if nothing is."""
    path = os.path.join(root, name)  # noqa: PTH118 (a million of them)
    try:
        status = os.stat(path)  # noqa: PTH116
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
            return Finding("unreadable", name, "is not a file")
        if status.st_size == 0:
            return Finding("empty", name, "has no bytes")
        with open(path, "rb") as file:  # noqa: PTH123
            digest = _digest(file)
            return _decode(file, name, min_size) or digest
    except OSError as error:
        return Finding("unreadable", name, error.strerror or str(error))


def _digest(file: IO[bytes]) -> bytes:
    digest = xxhash.xxh3_128()
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return digest.digest()


def _decode(file: IO[bytes], name: str, min_size: int) -> Finding | None:
    """Return what is wrong with an open file. Raises OSError of the system's, as for a disk that fails."""
    try:
        file.seek(0)
        with Image.open(file) as image:
            image.load()
            width, height = image.size
    except Image.DecompressionBombError as error:
        return Finding("bomb", name, _words(error))
    except UnidentifiedImageError:
        file.seek(0)
        if file.read(8).startswith(_BEGINNINGS):
            return Finding("truncated", name, "ends within its header, or the header is damaged")
        return Finding("not-an-image", name, "is not in an image format that can be read")
    except MemoryError:
        return Finding("unreadable", name, "needs more memory than there is")
    except Exception as error:  # Pillow raises nearly anything for a damaged file
        if isinstance(error, OSError) and error.errno:
            raise
        return Finding("truncated" if _is_cut(error, file) else "unreadable", name, _words(error))
    if min(width, height) < min_size:
        return Finding("tiny", name, f"{width} x {height} pixels")
    return None


def _is_cut(error: Exception, file: IO[bytes]) -> bool:
    if isinstance(error, EOFError) or any(word in str(error).lower() for word in ("truncated", "unexpected end")):
        return True
    file.seek(0)
    head = file.read(8)  # WebP's decoder gives no reason, but its files say how long they are
    return head.startswith(b"RIFF") and file.seek(0, os.SEEK_END) < int.from_bytes(head[4:], "little") + 8


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _copies(digests: NDArray[np.uint64], whole: NDArray[np.int64]) -> Iterator[list[int]]:
    """Yield the indices, ascending, of files that have the same content; `digests` (N, 2), `whole` those to compare."""
    order = whole[np.lexsort((whole, digests[whole, 1], digests[whole, 0]))]
    is_same = (digests[order[1:]] == digests[order[:-1]]).all(axis=1)
    begins = np.flatnonzero(np.concatenate(([True], ~is_same, [True])))
    for i in np.flatnonzero(np.diff(begins) > 1):
        yield order[begins[i] : begins[i + 1]].tolist()


def _judge_copies(
    names: Sequence[str], copies: Sequence[int], place_of: Callable[[int], Place]
) -> Iterator[tuple[int, Finding]]:
    """Yield what is wrong with copies of a file: nothing with the one that is kept.

    In two classes none is kept, since none is known to be right. Else one of the most precious part is.
    """
    places = {index: place_of(index) for index in copies}
    by_class = {place.class_name: index for index, place in reversed(places.items())}
    if len(by_class) > 1:
        for index, place in places.items():
            other = next(each for name, each in by_class.items() if name != place.class_name)
            yield index, _copy(names, "two-classes", index, other)
        return
    kept = min(copies, key=lambda index: _rank(places[index].part))
    for index in copies:
        if index != kept:
            is_leak = places[index].part != places[kept].part
            yield index, _copy(names, "leak" if is_leak else "duplicate", index, kept)


def _copy(names: Sequence[str], kind: str, index: int, other: int) -> Finding:
    return Finding(kind, names[index], f"the same file as {names[other]}", names[other])


def _rank(part: str) -> int:
    return PARTS.index(part) if part in PARTS else len(PARTS)
