"""Reading IDX files, the format of MNIST and its relatives (http://yann.lecun.com/exdb/mnist/)."""

import gzip
import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clfctl.data.sources.base import ArrayImages, Opened
from clfctl.errors import DataError

Pair = tuple[Path, Path]

# Where Debian's package dataset-fashion-mnist puts its files.
SYSTEM_FOLDERS = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}
PREFIXES = {"train": "train", "test": "t10k"}
IDX_CLASSES = {
    "fashion-mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}  # fmt: skip


def find_idx(name: str, class_name: str, data_dir: Path, part: str) -> Pair | None:
    """Return the files of images and labels of a part (train or test), as torchvision or a system package laid them."""
    folders = [data_dir / class_name / "raw", data_dir / name, data_dir]
    folders += [SYSTEM_FOLDERS[name]] if name in SYSTEM_FOLDERS else []
    return next((pair for folder in folders if (pair := idx_pair(folder, part))), None)


def idx_pair(folder: Path, part: str) -> Pair | None:
    """Return the files of images and labels of a part (train or test) in a folder, None if it does not have both."""
    images, labels = (_existing(folder, f"{PREFIXES[part]}-{kind}") for kind in ("images?idx3", "labels?idx1"))
    return (images, labels) if images and labels else None


def open_idx(name: str, train: Pair, test: Pair | None) -> Opened:
    """Read the files of a data set. Raises DataError if images and labels do not belong together."""
    (images, labels), tested = _read_pair(train), _read_pair(test) if test else None
    n_classes = int(labels.max()) + 1
    classes: tuple[str, ...] = IDX_CLASSES.get(name, ())
    if len(classes) < n_classes:
        classes = tuple(map(str, range(n_classes)))
    source = ArrayImages(name, images, labels.tolist())
    if tested is None or test is None:
        return Opened(classes, source, is_small=True)
    if (last := int(tested[1].max())) >= len(classes):
        raise DataError(f"{test[1]} has the class {last}, but training ends at {len(classes) - 1}", field="data")
    return Opened(classes, source, test=ArrayImages(name, tested[0], tested[1].tolist()), is_small=True)


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
        raise DataError(f"{path} is not an IDX file of unsigned bytes, or is incomplete", "download it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _read_pair(pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images, labels = (read_idx(path) for path in pair)
    if images.ndim != 3 or labels.ndim != 1:
        what = f"{pair[0]} holds {images.ndim} dimensions and {pair[1].name} {labels.ndim}, not the 3 of images and 1"
        raise DataError(what, field="data")
    if len(images) != len(labels) or not len(labels):
        raise DataError(f"{pair[0]} has {len(images)} images and {pair[1].name} {len(labels)} labels", field="data")
    return images, labels


def _existing(folder: Path, pattern: str) -> Path | None:
    """Return the file of a name with `-` or `.` in the place of `?`, gzipped or not."""
    names = [f"{pattern.replace('?', mark)}-ubyte{end}" for end in ("", ".gz") for mark in "-."]
    return next((folder / name for name in names if (folder / name).is_file()), None)
