"""Finding the images of a folder, without opening one of them. No torch here."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clfctl.errors import DataError, UsageError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
VAL_NAMES = ("val", "valid", "validation")


@dataclass(frozen=True)
class Listing:
    """Image paths and the number of each one's class."""

    paths: list[Path]
    labels: list[int]


@dataclass(frozen=True)
class FolderIndex:
    """The images of a data folder; `val` and `test` are None where the folder has no such part."""

    classes: tuple[str, ...]
    train: Listing
    val: Listing | None
    test: Listing | None


def index_folder(root: Path) -> FolderIndex:
    """List a folder of class folders, or one with train/ and perhaps val/ and test/.

    Raises UsageError if there is no such folder, DataError if it has fewer than two classes or an empty one.
    """
    if not root.is_dir():
        reason = "is not a folder" if root.exists() else "does not exist"
        raise UsageError(
            f"--data: {root} {reason}", "give a folder of class folders, or a data set by name, as `digits`"
        )
    has_parts = (root / "train").is_dir()
    top = root / "train" if has_parts else root
    classes = _class_names(top)
    train = _listing(top, classes)
    filled = set(train.labels)
    if empty := next((name for label, name in enumerate(classes) if label not in filled), ""):
        raise DataError(f"--data: the class folder {top / empty} has no images", f"images end in {_suffixes()}")
    if not has_parts:
        return FolderIndex(classes, train, None, None)
    val = next((root / name for name in VAL_NAMES if (root / name).is_dir()), None)
    return FolderIndex(classes, train, _part(val, classes), _part(root / "test", classes))


def images_in(folder: Path) -> list[Path]:
    """Return every image file under a folder, in the order of their paths; hidden files and folders are left out."""
    found = []
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if _is_visible(name))
        found += [Path(parent, name) for name in files if is_image(name)]
    return sorted(found)


def is_image(name: str) -> bool:
    """Return whether a file name is that of an image."""
    return _is_visible(name) and Path(name).suffix.lower() in SUFFIXES


def _class_names(top: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in top.iterdir() if entry.is_dir() and _is_visible(entry.name)))
    if len(names) >= 2:
        return names
    loose = sum(is_image(entry.name) for entry in top.iterdir() if entry.is_file())
    if not names and not loose:
        raise DataError(f"--data: {top} has no images", "it should have a folder for each class, with images in it")
    found = f"one class only ({names[0]})" if names else f"{loose} images but no class folders"
    raise DataError(f"--data: {top} has {found}", "a classifier needs two or more folders, one for each class")


def _listing(top: Path, classes: Sequence[str]) -> Listing:
    found = [(path, label) for label, name in enumerate(classes) for path in images_in(top / name)]
    if not found:
        raise DataError(f"--data: {top} has no images", f"its class folders are empty; images end in {_suffixes()}")
    return Listing([path for path, _ in found], [label for _, label in found])


def _part(folder: Path | None, classes: Sequence[str]) -> Listing | None:
    if folder is None or not folder.is_dir():
        return None
    unknown = {entry.name for entry in folder.iterdir() if entry.is_dir() and _is_visible(entry.name)} - set(classes)
    if unknown:
        raise DataError(f"--data: {folder} has classes that train/ has not: {', '.join(sorted(unknown)[:5])}")
    return _listing(folder, classes)


def _is_visible(name: str) -> bool:
    return not name.startswith((".", "__"))


def _suffixes() -> str:
    return ", ".join(sorted(SUFFIXES))


def count_batches(n_images: int, batch_size: int, *, is_shuffled: bool) -> int:
    """Return the batches of an epoch.

    In training (shuffled) a last batch of a single image is dropped: batch normalization cannot train on it.
    """
    full, rest = divmod(n_images, batch_size)
    return full + (rest > 0 and not (is_shuffled and rest == 1 and full > 0))
