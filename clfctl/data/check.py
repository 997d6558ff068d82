"""Checking every image before training does: what cannot be decoded, and what is there twice. No torch here."""

import os
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import numpy as np
import xxhash
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from clfctl.data.ahead import work_ahead
from clfctl.data.copies import File, judge_copies
from clfctl.data.findings import Finding, Place
from clfctl.data.pixels.heic import is_maybe_heic, let_pillow_read_heic
from clfctl.data.pixels.quiet import silence_tiff
from clfctl.data.pixels.unreadable import reason_of

AT_ONCE, AHEAD = 16, 3
HEAD_BYTES = 16
BLOCK_BYTES = 1 << 20
# How files of the formats begin: one that begins like this but is not an image was cut off in its header.
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
_DIGEST_BYTES = 16


def check_files(
    root: str,
    names: Sequence[str],
    place_of: Callable[[int], Place],
    file_of: Callable[[int], File],
    *,
    workers: int,
    min_size: int,
    on_files: Callable[[int], None],
) -> list[Finding]:
    """Return what is wrong with the files, by their order; `names` are relative to `root`, `place_of` and
    `file_of` tell of an image, by its number, where it belongs and which file it is.

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
        bad |= judge_copies(names, copies, place_of, file_of)
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
    path = os.path.join(root, name)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
            return Finding("unreadable", name, "is not a file")
        if status.st_size == 0:
            return Finding("empty", name, "has no bytes")
        with open(path, "rb") as file:
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
    silence_tiff()
    try:
        file.seek(0)
        if is_maybe_heic(file.read(HEAD_BYTES)):
            let_pillow_read_heic()
        file.seek(0)
        with Image.open(file) as image:
            image.load()
            width, height = image.size
    except Image.DecompressionBombError as error:
        return Finding("bomb", name, reason_of(error))
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
        return Finding("truncated" if _is_cut(error, file) else "unreadable", name, reason_of(error))
    if min(width, height) < min_size:
        return Finding("tiny", name, f"{width} x {height} pixels")
    return None


def _is_cut(error: Exception, file: IO[bytes]) -> bool:
    if isinstance(error, EOFError) or any(word in str(error).lower() for word in ("truncated", "unexpected end")):
        return True
    file.seek(0)
    head = file.read(8)  # WebP's decoder gives no reason, but its files say how long they are
    return head.startswith(b"RIFF") and file.seek(0, os.SEEK_END) < int.from_bytes(head[4:], "little") + 8


def _copies(digests: NDArray[np.uint64], whole: NDArray[np.int64]) -> Iterator[list[int]]:
    """Yield the indices, ascending, of files that have the same content; `digests` (N, 2), `whole` those to compare."""
    order = whole[np.lexsort((whole, digests[whole, 1], digests[whole, 0]))]
    is_same = (digests[order[1:]] == digests[order[:-1]]).all(axis=1)
    begins = np.flatnonzero(np.concatenate(([True], ~is_same, [True])))
    for i in np.flatnonzero(np.diff(begins) > 1):
        yield order[begins[i] : begins[i + 1]].tolist()
