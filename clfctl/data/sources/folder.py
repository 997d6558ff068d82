"""Listing the images of a data folder, without opening one of them. No torch here."""

import os
import unicodedata
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import numpy as np

from clfctl.data.sources.index import Index, Listing, Paths
from clfctl.data.sources.layout import class_folders, no_classes, notes_about, read_layout
from clfctl.data.sources.walk import HEIC, SUFFIXES, Seen, image_names
from clfctl.errors import DataError, UsageError

N_ENDINGS = 4
# Pairs of names that are looked at again where the system's listing says that they are one file.
N_TRIED = 20


@dataclass(frozen=True)
class _Listed:
    """The images of one part, and what was met besides."""

    images: Listing
    seen: Seen = field(default_factory=Seen)


def index_folder(root: Path, runs_dir: Path | None = None) -> Index:
    """List a folder of class folders, or one with a folder of them for each part; layout.py has the rule.

    `runs_dir` is not data, wherever it lies. Raises UsageError if there is no such folder, DataError if it has fewer
    than two classes or an empty one.
    """
    if not root.is_dir():
        reason = "is not a folder" if root.exists() else "does not exist"
        hint = "give a folder of class folders, or the name of a data set, such as digits"
        raise UsageError(f"{root} {reason}", hint, field="data")
    layout = read_layout(root, runs_dir)
    top, classes = layout.train, layout.classes
    if top is None:
        parts = " and ".join(f"{each.name}/" for each in (layout.val, layout.test) if each)
        hint = f"put the class folders of the training images into {root / 'train'}"
        raise DataError(f"{root} has {parts}, but no folder of training images", hint, field="data")
    if len(classes) < 2:
        raise no_classes(top, classes)
    train = _list(top, classes)
    filled = set(train.images.labels)
    if empty := next((name for label, name in enumerate(classes) if label not in filled), ""):
        raise DataError(f"the class folder {top / empty} has no images", _what_images_are(train.seen), field="data")
    val = _list_part(layout.val, classes, top) if layout.val else None
    test, about_test = _list_test(layout.test, classes, top) if layout.test else (None, ())
    listed = [each for each in (train, val, test) if each]
    notes = (*layout.notes, *layout.beside, *about_test, *_notes_about(listed), *alike(classes), *_same_files(listed))
    left_out = _left_out([each.seen for each in listed])
    return Index(classes, train.images, val.images if val else None, test.images if test else None, notes, left_out)


def index_part(top: Path, runs_dir: Path | None = None) -> tuple[tuple[str, ...], Listing, str]:
    """Return the classes and the images of a folder of class folders, to measure a model on, and what was left out.

    One class is enough, and class folders without images count. Raises DataError if there are no class folders, or no
    images in them.
    """
    classes = class_folders(top, runs_dir).names
    if not classes:
        raise no_classes(top, classes)
    listed = _list(top, classes)
    return classes, listed.images, _left_out([listed.seen])


def images_in(folder: Path) -> list[Path]:
    """Return every image file under a folder, in the order of their paths; hidden files and folders are left out."""
    return [folder / name for name in image_names(str(folder))]


def alike(classes: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence about classes whose names differ only in case, in spaces, or in how é is stored."""
    by_key: dict[str, list[str]] = {}
    for name in classes:
        by_key.setdefault(unicodedata.normalize("NFC", name.strip()).casefold(), []).append(name)
    groups = [" and ".join(map(repr, names)) for names in by_key.values() if len(names) > 1]
    what = "differ only in case, spaces or the form of a letter, but are classes of their own"
    return (f"{', '.join(groups)} {what}",) if groups else ()


def _list(top: Path, classes: Sequence[str]) -> _Listed:
    names: list[str] = []
    labels, seen = array("i"), Seen()
    for label, class_name in enumerate(classes):
        if (top / class_name).is_dir():
            names += image_names(str(top), seen, below=class_name)
        labels.extend([label] * (len(names) - len(labels)))
    if not names:
        what = f"its class folders are empty; {_what_images_are(seen)}"
        raise DataError(f"{top} has no images", what, field="data")
    return _Listed(Listing(Paths(str(top), names), labels), seen)


def _list_part(folder: Path, classes: Sequence[str], train: Path) -> _Listed:
    if unknown := sorted(set(class_folders(folder).names) - set(classes)):
        names = ", ".join(unknown[:5])
        raise DataError(f"{folder} has classes that {train.name}/ does not have: {names}", field="data")
    return _list(folder, classes)


def _list_test(folder: Path, classes: Sequence[str], train: Path) -> tuple[_Listed | None, tuple[str, ...]]:
    """Return the test images, or why they have no classes: Kaggle's are often not labelled, and in a folder."""
    if set(class_folders(folder).names) & set(classes):
        return _list_part(folder, classes, train), ()
    return None, (f"{folder.name}/ has none of the class folders of {train.name}/, and is not read",)


def _notes_about(listed: Sequence[_Listed]) -> tuple[str, ...]:
    circles = [name for each in listed for name in each.seen.circles]
    runs = [name for each in listed for name in each.seen.runs]
    others = sum((each.seen.others for each in listed), Counter[str]())
    heic = [ending for ending in HEIC if ending in others and ending not in SUFFIXES]
    return (*notes_about(circles, runs), *([f"{' and '.join(heic)} files are read with {_HEIC_HINT}"] if heic else []))


_HEIC_HINT = "pip install 'clfctl[heic]'"


def _left_out(seen: Sequence[Seen]) -> str:
    """Return how many files are not images, by ending: `12 .heic, 3 .txt`; empty where there are none."""
    counts = sum((each.others for each in seen), Counter[str]())
    shown = counts.most_common(N_ENDINGS)
    rest = counts.total() - sum(n for _, n in shown)
    words = [f"{n:,} {ending}" for ending, n in shown]
    return ", ".join([*words, f"{rest:,} more"] if rest else words)


def _same_files(listed: Sequence[_Listed]) -> tuple[str, ...]:
    """Return a sentence about files that are read under two names: in two classes, or in two parts."""
    keys = np.concatenate([np.asarray(each.seen.keys, np.uint64) for each in listed])
    order = np.argsort(keys, kind="stable")
    is_same = (keys[order[1:]] == keys[order[:-1]]) & (keys[order[1:]] != 0)
    pairs = np.column_stack((order[:-1][is_same], order[1:][is_same]))
    labels = np.concatenate([np.asarray(each.images.labels, np.int32) for each in listed])
    parts = np.repeat(np.arange(len(listed)), [len(each.images.paths) for each in listed])
    paths = [each.images.paths for each in listed]
    starts = [0, *accumulate(map(len, paths))]

    def path(index: int) -> str:
        return paths[part := int(parts[index])][index - starts[part]]

    notes = []
    for numbers, what in ((labels, "two classes"), (parts, "two parts of the data")):
        found = pairs[numbers[pairs[:, 0]] != numbers[pairs[:, 1]]]
        for one, other in found[:N_TRIED].tolist():
            if _is_same_file(path(one), path(other)):
                n = "1 file is" if len(found) == 1 else f"{len(found):,} files are"
                notes.append(f"{n} in {what} by links, such as {path(one)} and {path(other)}")
                break
    return tuple(notes)


def _is_same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)  # two names, not paths that are kept
    except OSError:
        return False


def _what_images_are(seen: Seen) -> str:
    words = f"image files end in {', '.join(sorted(SUFFIXES))}"
    if not seen.others:
        return words
    unread = any(ending in seen.others for ending in HEIC) and not SUFFIXES.issuperset(HEIC)
    hint = f"; for HEIC: {_HEIC_HINT}" if unread else ""
    return f"{words}; left out: {_left_out([seen])}{hint}"
