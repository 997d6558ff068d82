"""Lists of images: their paths, their classes, and what people call those. No torch here."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from clfctl.errors import DataError

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
        return os.path.join(self.folder, self.names[index])


@dataclass(frozen=True)
class Listing:
    """Image paths and the number of each one's class; `weights` say how often each is drawn, None: all alike."""

    paths: Paths
    labels: Sequence[int]
    weights: Sequence[float] | None = None


@dataclass(frozen=True)
class Index:
    """The images of a data folder or a manifest; `val` and `test` are None where the folder has no such part.

    `notes` are sentences about what a user may not expect, `left_out` counts files that are not images by their ending.
    """

    classes: tuple[str, ...]
    train: Listing
    val: Listing | None
    test: Listing | None
    notes: tuple[str, ...] = ()
    left_out: str = ""


def readable_names(folder: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """Return what people call the classes, from `class_names.json` in a folder: {"n02123045": "tabby cat"}.

    A class that is not in it keeps its own name. Raises DataError for a file that holds something else, or that gives
    two classes one name.
    """
    path = folder / CLASS_NAMES
    try:
        names = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return tuple(classes)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", _NAMES_HINT) from None
    if not isinstance(names, dict) or not all(isinstance(name, str) and name for name in names.values()):
        raise DataError(f"{path} does not hold a JSON object of names", _NAMES_HINT)
    found = tuple(names.get(each, each) for each in classes)
    first_with: dict[str, int] = {}
    for number, name in enumerate(found):
        if (first := first_with.setdefault(name, number)) != number:
            raise DataError(f"{path}: {classes[first]} and {classes[number]} are both called {name}", _NAMES_HINT)
    return found


_NAMES_HINT = 'it should look like {"class folder": "name for people", …}'


def sorted_classes(names: Sequence[str]) -> tuple[str, ...]:
    """Return class names in order: as numbers, if all are."""
    if all(name.isascii() and name.isdigit() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))
