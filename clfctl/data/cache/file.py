"""The file of a disk cache: pixels one image after the other, behind them the table of their sizes, at its end a seal.

It is mapped into memory, not read: what is not needed costs nothing, and processes share what is.
"""

import mmap
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from clfctl.data.pixels.decode import Pixels
from clfctl.storage.files import BLOCK_BYTES, Piece

SUFFIX = ".pixels"
# Raise it when an image is stored as other bytes than before: another way to decode, to scale, to lay them out.
FORMAT = 2
_MAGIC = b"clfctl\0\1"
# Magic, format, shorter side, number of images, where the table begins, digest of what was cached, checksum.
_SEAL = struct.Struct("<8sIIQQ16sQ")
_CHECKSUM_BYTES = 8
_PIECE_BYTES = BLOCK_BYTES // 2


@dataclass(frozen=True)
class Seal:
    """What a file says that it is: `digest` (16 bytes) of what `n` images it holds, scaled to `shorter` pixels."""

    digest: bytes
    n: int
    shorter: int


class MappedPictures:
    """The pictures of a file by the number of the image; None for those that it does not have."""

    def __init__(self, content: NDArray[np.uint8], sizes: NDArray[np.int32]) -> None:
        self._content, self._sizes = content, sizes
        self._ends = np.cumsum(sizes.prod(axis=1, dtype=np.int64) * 3)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: int) -> Pixels | None:
        """Return (H, W, 3) uint8 RGB that lies in the file, and cannot be written to."""
        height, width = self._sizes[index].tolist()
        end = int(self._ends[index])
        return self._content[end - 3 * height * width : end].reshape(height, width, 3) if height else None


def pieces(seal: Seal, pictures: Iterable[Pixels | None]) -> Iterator[Piece]:
    """Yield the bytes of a file of as many pictures as `seal` says, in their order."""
    sizes = np.zeros((seal.n, 2), np.int32)
    n_bytes = 0
    for index, picture in enumerate(pictures):
        if picture is not None:
            sizes[index] = picture.shape[:2]
            n_bytes += picture.nbytes
            content = memoryview(np.ascontiguousarray(picture).data).cast("B")
            # In small pieces: what comes in a large one files.py hurries to the disk and out of the memory.
            yield from (content[at : at + _PIECE_BYTES] for at in range(0, len(content), _PIECE_BYTES))
    yield sizes.tobytes()
    head = _SEAL.pack(_MAGIC, FORMAT, seal.shorter, seal.n, n_bytes, seal.digest, 0)[:-_CHECKSUM_BYTES]
    yield head + struct.pack("<Q", _checksum(sizes, head))


def open_pictures(path: Path, seal: Seal) -> MappedPictures | None:
    """Map a file; None if there is none, or it is not whole, or not the one that `seal` describes."""
    try:
        with path.open("rb") as file:
            content = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except (OSError, ValueError):  # ValueError: an empty file
        return None
    if len(content) < _SEAL.size:
        return None
    packed = content[-_SEAL.size :].tobytes()
    magic, version, shorter, n, n_bytes, digest, checksum = _SEAL.unpack(packed)
    if (magic, version, Seal(digest, n, shorter)) != (_MAGIC, FORMAT, seal):
        return None
    if len(content) != n_bytes + 8 * n + _SEAL.size:
        return None
    # A copy: the table begins at any byte, and is asked at every image.
    sizes = np.frombuffer(content[n_bytes : -_SEAL.size].tobytes(), np.int32).reshape(n, 2)
    if checksum != _checksum(sizes, packed[:-_CHECKSUM_BYTES]):
        return None
    return MappedPictures(content, sizes)


def _checksum(sizes: NDArray[np.int32], head: bytes) -> int:
    digest = xxhash.xxh3_64(sizes.tobytes())
    digest.update(head)
    return digest.intdigest()
