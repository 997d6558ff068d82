"""What a cache of images is made from, as a digest: another file, another size, another date is another cache."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from clfctl.data.sources.arrow import ArrowImages
from clfctl.data.sources.base import ArrayImages, FileImages, ImageSource, TorchvisionImages
from clfctl.data.sources.index import Paths
from clfctl.data.sources.shards import TarImages

# Under one of these names torchvision's data sets keep the folder of their files.
_FOLDERS = ("_base_folder", "_data_path", "root")
_GONE = (-1, -1)


def content_digest(source: ImageSource, indices: NDArray[np.int64]) -> bytes:
    """Return 16 bytes that identify the images with numbers `indices` of a source, without decoding one.

    Of files it is every path, size and time of change; of shards and Arrow files the same, and where in them the images
    lie; of arrays every pixel. A file that is rewritten with the same size and its old time is not noticed.
    """
    digest = xxhash.xxh3_128(np.ascontiguousarray(indices).tobytes())
    for piece in _pieces(source, indices):
        digest.update(piece)
    return digest.digest()


def _pieces(source: ImageSource, indices: NDArray[np.int64]) -> Iterator[Any]:
    """Return what makes up the digest of a source. Raises TypeError for a kind of source that is not known."""
    match source:
        case FileImages():
            return _of_files(source, indices)
        case TarImages():
            return _of_shards(source, indices)
        case ArrowImages():
            return _of_arrow(source)
        case ArrayImages():
            return _of_arrays(source)
        case TorchvisionImages():
            return _of_torchvision(source, indices)
    raise TypeError(f"images of a {type(source).__name__} cannot be cached")


def _of_files(source: FileImages, indices: NDArray[np.int64]) -> Iterator[Any]:
    # Relative to their folder: how it was spelled, or where it is mounted today, makes no difference.
    names = source.paths.names if isinstance(source.paths, Paths) else source.paths
    yield from _of_paths((os.fspath(names[i]), os.fspath(source.paths[i])) for i in indices.tolist())


def _of_shards(source: TarImages, indices: NDArray[np.int64]) -> Iterator[Any]:
    yield from _of_paths((path.name, str(path)) for path in source.shards)
    for values in (source.places, source.offsets, source.sizes):
        yield np.asarray(values)[indices].tobytes()


def _of_arrow(source: ArrowImages) -> Iterator[Any]:
    yield from _of_paths((path.name, str(path)) for path in source.shards)
    if source.rows is not None:
        yield np.asarray(source.rows).tobytes()
    # Where the bytes are not in the table, the images are files of their own.
    for chunk in source.column.chunks:
        outside = chunk.field("path").filter(chunk.field("bytes").is_null()).to_pylist()
        yield from _of_paths((path or "", path or "") for path in outside)


def _of_arrays(source: ArrayImages) -> Iterator[Any]:
    yield repr(source.images.shape).encode()
    yield np.ascontiguousarray(source.images).data


def _of_torchvision(source: TorchvisionImages, indices: NDArray[np.int64]) -> Iterator[Any]:
    yield f"{source.title} {len(source.labels)}".encode()
    yield np.asarray(source.labels, np.int64)[indices].tobytes()
    if isinstance(pixels := getattr(source.data, "data", None), np.ndarray):
        yield np.ascontiguousarray(pixels).data
        return
    folder = Path(next(getattr(source.data, name) for name in _FOLDERS if hasattr(source.data, name)))
    paths = sorted(str(path) for path in folder.rglob("*") if path.is_file())
    yield from _of_paths((os.path.relpath(path, folder), path) for path in paths)


def _of_paths(paths: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Yield name, size and time of change of each (name, path); those of a broken link count too."""
    for name, path in paths:
        try:
            status = os.stat(path)
            size, time_ns = status.st_size, status.st_mtime_ns
        except OSError:
            size, time_ns = _GONE
        yield f"{name}\0{size}\0{time_ns}\n".encode("utf-8", "surrogateescape")
