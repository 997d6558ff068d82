"""How a data folder is laid out: which of its folders are classes, and which are parts with classes in them. No torch.

The one rule of all commands; docs/data.md and decision 0060 tell it to users.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from clfctl.data.sources.names import TABLES
from clfctl.data.sources.parts import NAMES, PARTS, PartName, part_in, part_of
from clfctl.data.sources.walk import Seen, folder_counts, image_names, is_circle, is_image, is_run, is_visible
from clfctl.errors import DataError

# From as many images beside a lone training folder on, they are meant to be read, rather than a cover or a plot.
N_LOOSE = 3
N_SHOWN = 5
_WORDS: dict[PartName, str] = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Folders:
    """The folders in a folder that may be classes; `notes` say what else was left out and why."""

    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Where the class folders of each part lie.

    `train` is the data folder itself where that is not divided into parts, and None where it is but has no training
    images; `classes` are the folders in it that may be classes. `notes` are about what is read, `beside` is about what
    lies beside the parts and is not.
    """

    train: Path | None
    val: Path | None
    test: Path | None
    classes: tuple[str, ...]
    is_divided: bool
    notes: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def part(self, name: PartName) -> Path | None:
        """Return the folder of a part."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]


def read_layout(root: Path, runs_dir: Path | None = None) -> Layout:
    """Return which folders of a data folder are its parts, or that it has none; `runs_dir` is not data.

    A folder is a part if it has a part's name and folders in it. Raises DataError where that is not clear.
    """
    found = class_folders(root, runs_dir)
    named = {name: part for name in found.names if (part := part_of(name))}
    divided = {name: part for name, part in named.items() if _has_folders(root / name)}
    if not divided:
        _check_names(root, found.names)
        notes = (*found.notes, *_as_classes(root, found.names, tuple(named)))
        return Layout(root, None, None, found.names, is_divided=False, notes=notes)
    folders: dict[PartName, Path] = {}
    for name, part in divided.items():
        if part in folders:
            what = f"{folders[part].name}/ and {name}/ both name the {_WORDS[part]} images"
            raise DataError(f"{root}: {what}", "keep one of them, or rename one", field="data")
        folders[part] = root / name
    flat = [name for name, part in named.items() if name not in divided and part not in folders]
    if unclear := next((name for name in flat if named[name] != "test"), ""):
        raise _not_complete(root, (unclear,))
    others = [name for name in found.names if name not in named]
    loose = _loose_images(root)
    if list(folders) == ["train"] and not flat:
        _check_lone(folders["train"], others, loose)
    unread = [f"{name}/" for name in found.names if name not in divided and name not in flat]
    beside = [f"{name}/ has no class folders, and is not read" for name in flat]
    if unread or loose:
        what = _listed([*unread, *([_n_images(loose)] if loose else [])])
        parts = _listed([f"{each.name}/" for each in folders.values()])
        beside.append(f"not read, since {parts} {'is' if len(folders) == 1 else 'are'} there: {what}")
    train, val, test = (folders.get(part) for part in PARTS)
    classes = class_folders(train, runs_dir) if train else Folders(())
    notes = (*found.notes, *classes.notes)
    return Layout(train, val, test, classes.names, is_divided=True, notes=notes, beside=tuple(beside))


def class_folders(top: Path, runs_dir: Path | None = None) -> Folders:
    """Return the folders in a folder that may be classes, sorted: no runs, no links to a folder they lie in."""
    real, runs = os.path.realpath(top), os.path.realpath(runs_dir) if runs_dir else ""
    names, circles, of_runs = [], [], []
    with os.scandir(top) as entries:
        for entry in entries:
            if not folder_counts(entry.name) or not entry.is_dir():
                continue
            if entry.is_symlink() and is_circle(entry.path):
                circles.append(entry.name)
            elif f"{real}{os.sep}{entry.name}" == runs or _holds_runs(entry.path):
                of_runs.append(entry.name)
            else:
                names.append(entry.name)
    return Folders(tuple(sorted(names)), notes_about(circles, of_runs))


def notes_about(circles: Sequence[str], runs: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence about links to a folder that they lie in, and one about folders of runs; both are left out."""
    notes = []
    if circles:
        what = "a link to a folder that it lies in" if len(circles) == 1 else "links to folders that they lie in"
        notes.append(f"left out: {_listed(sorted(circles))}, {what}")
    if runs:
        notes.append(f"left out: {_listed([f'{name}/' for name in sorted(runs)])}, where clfctl keeps its runs")
    return tuple(notes)


def no_classes(top: Path, names: Sequence[str]) -> DataError:
    """Return the error about a folder that has `names` as its only class folders."""
    loose = _loose_images(top)
    if not names and not loose:
        hint = "it should have a folder for each class, with images in it"
        return DataError(f"{top} has no images", hint, field="data")
    found = f"one class only ({names[0]})" if names else f"{_n_images(loose)} but no class folders"
    hint = "a classifier needs at least two folders, one for each class"
    if names and _has_folders(top / names[0]):
        hint = f"{hint}; if they lie in {top / names[0]}, give that"
    elif tables := _tables(top.parent, top) if not names else []:
        hint = f"{hint}; if {tables[0]} says which class each image has, give that file"
    return DataError(f"{top} has {found}", hint, field="data")


def _as_classes(root: Path, names: Sequence[str], named: Sequence[str]) -> tuple[str, ...]:
    """Return a note about the one class that has a part's name. Raises DataError if it is not clear that it is one."""
    if not named:
        return ()
    if len(named) > 1 or len(names) < 3:
        raise _not_complete(root, named)
    others = _listed([f"{name}/" for name in names if name not in named])
    return (f"{named[0]}/ is read as a class, as {others} are, since it has no class folders in it",)


def _not_complete(root: Path, named: Sequence[str]) -> DataError:
    is_one = len(named) == 1
    parts = list(dict.fromkeys(_WORDS[part] for name in named if (part := part_of(name))))
    what = f"{_listed([f'{name}/' for name in named])} {'looks' if is_one else 'look'} like {_listed(parts)} images"
    hint = f"put a folder for each class into {'it' if is_one else 'them'}, or rename what is a class"
    if tables := _tables(root, root):
        hint = f"{hint}; if {tables[0]} says which class each image has, give that file"
    return DataError(f"{root}: {what}, but {'has' if is_one else 'have'} no class folders", hint, field="data")


def _check_lone(train: Path, others: Sequence[str], loose: int) -> None:
    """Raise DataError if the only part is that of training, and images beside it seem to be meant as well."""
    doubled = sorted(set(others) & set(class_folders(train).names))
    if not doubled and len(others) > 1:
        _check_may_be_class(train, others)
    if not doubled and loose < N_LOOSE:
        return
    what = f"the class folders {_listed(doubled)}" if doubled else _n_images(loose)
    hint = f"give {train} alone, or put what lies beside it into it"
    raise DataError(
        f"{train.parent} has the training images in {train.name}/, and {what} beside it", hint, field="data"
    )


def _check_may_be_class(train: Path, others: Sequence[str]) -> None:
    """Raise DataError if two folders or more beside a lone training folder hold images: it may be a class as they are.

    A single one is often what the training images were made from.
    """
    filled = [name for name in others if _holds_images(train.parent / name)]
    if len(filled) < 2:
        return
    beside = _listed([f"{name}/" for name in filled])
    what = f"{train.name}/ may be the training images, as it has folders in it, or a class, as {beside} beside it"
    hint = f"give {train} if its folders are the classes; rename {train.name}/ if it is a class itself"
    raise DataError(f"{train.parent}: {what}", hint, field="data")


def _check_names(root: Path, names: Sequence[str]) -> None:
    """Raise DataError if folders look like parts under names that are not those of parts: `training_set`, `seg_test`.

    They do if they have folders in them, or if nothing lies beside them.
    """
    named = {name: part for name in names if (part := part_in(name)) and not part_of(name)}
    if len(named) < len(names):
        named = {name: part for name, part in named.items() if _has_folders(root / name)}
    if len(parts := set(named.values())) < 2 or "train" not in parts:
        return
    usual = _listed([f"{part}/" for part in PARTS if part in parts])
    what = f"{_listed([f'{name}/' for name in named])} look like parts of the data, not like classes"
    hint = f"if they have class folders in them, call them {usual}; if they are classes, rename them"
    if tables := _tables(root, root):
        hint = f"{hint}; if {tables[0]} says which class each image has, give that file"
    raise DataError(f"{root}: {what}", hint, field="data")


def _has_folders(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.is_dir() for entry in entries if folder_counts(entry.name))


def _holds_runs(folder: str) -> bool:
    """Return whether a folder is a run, or has a run in it and no images but those of runs."""
    try:
        if is_run(folder):
            return True
        with os.scandir(folder) as entries:
            for entry in islice((each for each in entries if is_visible(each.name)), 50):
                if is_image(entry.name):
                    return False
                if entry.is_dir() and is_run(entry.path):
                    return not _holds_images(folder)
    except OSError:
        pass  # whoever lists it says why it cannot be
    return False


def _holds_images(folder: Path | str) -> bool:
    """Return whether there are images in a folder or below it, but for those of runs."""
    return next(image_names(str(folder), Seen(unlisted={})), None) is not None


def _loose_images(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(is_image(entry.name) and not entry.is_dir() for entry in entries)


def _tables(folder: Path, near: Path) -> list[Path]:
    """Return the tables in a folder, those first that are called like `near`."""
    found = [each for each in sorted(folder.iterdir()) if each.name.lower().endswith(TABLES)]
    return sorted(found, key=lambda each: each.stem not in {near.name, *NAMES["train"]})


def _n_images(n: int) -> str:
    return "1 image" if n == 1 else f"{n} images"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:N_SHOWN]) + (f" and {len(names) - N_SHOWN} more" if len(names) > N_SHOWN else "")
