"""Reading IDX files, the format of MNIST and its relatives (http://yann.lecun.com/exdb/mnist/)."""

import gzip
import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clfctl.errors import DataError

# Where Debian's package dataset-fashion-mnist puts its files.
SYSTEM_FOLDERS = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}
PREFIXES = {"train": "train", "test": "t10k"}


def find_idx(name: str, class_name: str, data_dir: Path, part: str) -> tuple[Path, Path] | None:
    """Return the files of images and labels of a part (train or test), as torchvision or a system package laid them."""
    folders = [data_dir / class_name / "raw", data_dir / name, data_dir]
    folders += [SYSTEM_FOLDERS[name]] if name in SYSTEM_FOLDERS else []
    for folder in folders:
        pair = [_existing(folder, f"{PREFIXES[part]}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")]
        if pair[0] and pair[1]:
            return pair[0], pair[1]
    return None


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array of an IDX file of unsigned bytes, gzipped or not. Raises DataError if it is not one."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    n_dims = content[3] if len(content) >= 4 and content[:3] == b"\0\0\x08" else 0
    shape = struct.unpack_from(f">{n_dims}I", content, 4) if n_dims and len(content) >= 4 + 4 * n_dims else ()
    start = 4 + 4 * n_dims
    if not shape or len(content) - start != math.prod(shape):
        raise DataError(f"{path} is not an IDX file of unsigned bytes, or not a whole one", "download it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _existing(folder: Path, stem: str) -> Path | None:
    return next((path for path in _spellings(folder, stem) if path.is_file()), None)


def _spellings(folder: Path, stem: str) -> Iterator[Path]:
    yield folder / stem
    yield folder / f"{stem}.gz"
