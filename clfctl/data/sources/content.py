"""The bytes that an image consists of, before anything is decoded: what makes two images the same."""

import os
from pathlib import Path

import numpy as np

from clfctl.data.sources.arrow import ArrowImages
from clfctl.data.sources.base import ArrayImages, FileImages, ImageSource, Part
from clfctl.data.sources.shards import TarImages

HALF_BYTES = 1 << 17


def content_of(source: ImageSource, index: int) -> bytes | None:
    """Return the bytes of an image's file or array; None if they cannot be read, or the source has none of its own."""
    try:
        match source:
            case FileImages():
                path = Path(source.paths[index])
                return path.read_bytes() if path.is_file() else None  # a pipe would be waited for
            case TarImages() | ArrowImages():
                return source.content(index)
            case ArrayImages():
                return np.ascontiguousarray(source.images[index]).tobytes()
    except OSError:
        pass
    return None


def head_and_tail(path: str | os.PathLike[str]) -> bytes | None:
    """Return the first and the last 128 kB of a file, all of a smaller one; None if it cannot be read."""
    try:
        if not Path(path).is_file():
            return None
        with Path(path).open("rb") as file:
            content = file.read(HALF_BYTES)
            size = os.fstat(file.fileno()).st_size
            file.seek(max(len(content), size - HALF_BYTES))
            return content + file.read(HALF_BYTES)
    except OSError:
        return None


def has_same_content(one: Part, other: Part) -> bool:
    """Return whether the images of two parts are the same, byte for byte, in their order."""
    if len(one) != len(other):
        return False
    pairs = zip(one.indices, other.indices, strict=True)
    return all(content_of(one.source, i) == content_of(other.source, k) for i, k in pairs)
