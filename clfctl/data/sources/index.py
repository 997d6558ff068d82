"""Finding the images of a folder, without opening one of them. No torch here."""

import json
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from clfctl.data.sources.walk import SUFFIXES, image_names, is_image, is_visible
from clfctl.errors import DataError, UsageError

VAL_NAMES = ("val", "valid", "validation")
CLASS_NAMES = "class_names.json"


class Paths(Sequence[str]):
    """Paths in one folder or below it, kept as names relative to it: a Path object would take ten times the memory."""

    def __init__(self, folder: str, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> "Paths": ...

    def __getitem__(self, index: int | slice) -> "str | Paths":
        """Return a path, or some."""
        if isinstance(index, slice):
            return Paths(self.folder, self.names[index])
        return os.path.join(self.folder, self.names[index])  # noqa: PTH118 (as above)


@dataclass(frozen=True)
class Listing:
    """Image paths and the number of each one's class; `weights` say how often each is drawn, None: all alike."""

    paths: Paths
    labels: Sequence[int]
    weights: Sequence[float] | None = None


@dataclass(frozen=True)
class Index:
    """The images of a data folder or a manifest; `val` and `test` are None where the folder has no such part."""

    classes: tuple[str, ...]
    train: Listing
    val: Listing | None
    test: Listing | None


def index_folder(root: Path) -> Index:
    """List a folder of class folders, or one with train/ and perhaps val/ and test/.

    Raises UsageError if there is no such folder, DataError if it has fewer than two classes or an empty one.
    """
    if not root.is_dir():
        reason = "is not a folder" if root.exists() else "does not exist"
        raise UsageError(
            f"{root} {reason}",
            "give a folder of class folders, or the name of a data set, such as digits",
            field="data",
        )
    has_parts = (root / "train").is_dir()
    top = root / "train" if has_parts else root
    classes = _class_names(top)
    train = _listing(top, classes)
    filled = set(train.labels)
    if empty := next((name for label, name in enumerate(classes) if label not in filled), ""):
        raise DataError(f"the class folder {top / empty} has no images", _what_images_are(), field="data")
    if not has_parts:
        return Index(classes, train, None, None)
    val, test = (_part(part_folder(root, split), classes) for split in ("val", "test"))
    return Index(classes, train, val, test)


def index_part(top: Path) -> tuple[tuple[str, ...], Listing]:
    """Return the classes and the images of a folder of class folders, to measure a model on: one class may be enough.

    Class folders without images count. Raises DataError if there are no class folders, or no images in them.
    """
    classes = _class_folders(top)
    if not classes:
        raise _no_classes(top, classes)
    return classes, _listing(top, classes)


def part_folder(root: Path, split: str) -> Path | None:
    """Return the folder of the `val` or `test` images of a data folder, None if it has none."""
    names = VAL_NAMES if split == "val" else (split,)
    return next((root / name for name in names if (root / name).is_dir()), None)


def images_in(folder: Path) -> list[Path]:
    """Return every image file under a folder, in the order of their paths; hidden files and folders are left out."""
    return [folder / name for name in image_names(str(folder))]


def readable_names(folder: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """Return what people call the classes, from `class_names.json` in a folder: {"n02123045": "tabby cat"}.

    A class that is not in it keeps its own name. Raises DataError for a file that holds something else, or that gives
    two classes one name.
    """
    path = folder / CLASS_NAMES
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tuple(classes)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", _NAMES_HINT) from None
    if not isinstance(names, dict) or not all(isinstance(name, str) and name for name in names.values()):
        raise DataError(f"{path} does not hold a JSON object of names", _NAMES_HINT)
    found = tuple(names.get(each, each) for each in classes)
    for number, name in enumerate(found):
        if (first := found.index(name)) != number:
            raise DataError(f"{path}: {classes[first]} and {classes[number]} are both called {name}", _NAMES_HINT)
    return found


_NAMES_HINT = 'it should look like {"class folder": "name for people", …}'


def sorted_classes(names: Sequence[str]) -> tuple[str, ...]:
    """Return class names in order: as numbers, if all are."""
    if all(name.isascii() and name.isdigit() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def _class_names(top: Path) -> tuple[str, ...]:
    names = _class_folders(top)
    if len(names) >= 2:
        return names
    raise _no_classes(top, names)


def _class_folders(top: Path) -> tuple[str, ...]:
    return tuple(sorted(entry.name for entry in top.iterdir() if is_visible(entry.name) and entry.is_dir()))


def _no_classes(top: Path, names: Sequence[str]) -> DataError:
    """Return the error about a folder that has `names` as its only class folders."""
    loose = sum(is_image(entry.name) for entry in top.iterdir() if entry.is_file())
    if not names and not loose:
        hint = "it should have a folder for each class, with images in it"
        return DataError(f"{top} has no images", hint, field="data")
    found = f"one class only ({names[0]})" if names else f"{loose} images but no class folders"
    hint = "a classifier needs at least two folders, one for each class"
    return DataError(f"{top} has {found}", hint, field="data")


def _listing(top: Path, classes: Sequence[str]) -> Listing:
    names: list[str] = []
    labels = array("i")
    for label, class_name in enumerate(classes):
        if (top / class_name).is_dir():
            names += [f"{class_name}/{name}" for name in image_names(f"{top}/{class_name}")]
        labels.extend([label] * (len(names) - len(labels)))
    if not names:
        raise DataError(f"{top} has no images", f"its class folders are empty; {_what_images_are()}", field="data")
    return Listing(Paths(str(top), names), labels)


def _part(folder: Path | None, classes: Sequence[str]) -> Listing | None:
    if folder is None:
        return None
    unknown = {entry.name for entry in folder.iterdir() if is_visible(entry.name) and entry.is_dir()} - set(classes)
    if unknown:
        names = ", ".join(sorted(unknown)[:5])
        raise DataError(f"{folder} has classes that train/ does not have: {names}", field="data")
    return _listing(folder, classes)


def _what_images_are() -> str:
    return f"image files end in {', '.join(sorted(SUFFIXES))}"


def count_batches(n_images: int, batch_size: int, *, is_shuffled: bool) -> int:
    """Return the batches of an epoch.

    In training (shuffled) a last batch of a single image is dropped: batch normalization cannot train on it.
    """
    full, rest = divmod(n_images, batch_size)
    return full + (rest > 0 and not (is_shuffled and rest == 1 and full > 0))
