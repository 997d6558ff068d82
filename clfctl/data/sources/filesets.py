"""Which files a folder of shards or of Parquet files consists of, and of which part each is."""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from clfctl.data.sources.found import listed
from clfctl.data.sources.parts import PARTS, PartName, part_of
from clfctl.data.sources.walk import image_names, is_image, is_visible
from clfctl.errors import DataError

_WORD = re.compile(r"[a-z]+")
# As Hugging Face numbers the files of a data set.
_NUMBERED = re.compile(r"-\d{5}-of-\d{5}")
# What lies at the top of a cloned data repository, whose configurations are folders.
_OF_REPOSITORY = (".gitattributes", "README.md")
_DATA, _DEPTH = "data", 3


def find_files(root: Path, endings: Sequence[str]) -> dict[PartName, Sequence[Path]]:
    """Return the files of each part: `root` itself, or those in the folder, in `data/`, and in folders named as parts.

    A file is of the part that its folder is called, or that a word of its name is (`train-0001.tar`); of others it is
    for training. {} if there are none, or if there are images in folders: beside class folders lies at most the archive
    that they came in. Raises DataError for a repository of several data sets.
    """
    endings = tuple(endings)
    if not root.is_dir():
        return {"train": [root]} if root.name.lower().endswith(endings) else {}
    found = list(_files(root, endings))
    if not found and any((root / name).is_file() for name in _OF_REPOSITORY):
        found = _configuration(root, endings)
    if not found or _has_class_folders(root, [path for path, _ in found]):
        return {}
    parts: dict[PartName, list[Path]] = {}
    for path, part in sorted(found):
        parts.setdefault(part, []).append(path)
    return {part: parts[part] for part in PARTS if part in parts}


def _files(
    folder: Path, endings: tuple[str, ...], part: PartName | None = None, depth: int = 0
) -> Iterator[tuple[Path, PartName]]:
    """Yield the files in a folder, and in those of its folders that are called `data` or as a part, once."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.lower().endswith(endings) and is_visible(entry.name) and entry.is_file():
                yield Path(entry.path), part or _part_of_file(entry.name)
                continue
            own = part or part_of(entry.name)
            is_one = own != part or entry.name.lower() == _DATA
            if is_one and depth < _DEPTH and entry.is_dir():
                yield from _files(Path(entry.path), endings, own, depth + 1)


def _configuration(root: Path, endings: tuple[str, ...]) -> list[tuple[Path, PartName]]:
    """Return the files of the only folder of a repository that has any."""
    folders = sorted(entry for entry in root.iterdir() if is_visible(entry.name) and entry.is_dir())
    folders = [folder for folder in folders if not _begins_with_images(folder)]
    found = [(folder, files) for folder in folders if (files := list(_files(folder, endings)))]
    if len(found) > 1:
        names = listed(folder.name for folder, _ in found)
        raise DataError(f"{root} holds several data sets: {names}", f"choose one, as {found[0][0]}", field="data")
    return found[0][1] if found else []


def _begins_with_images(folder: Path) -> bool:
    """Return whether a folder is one of images, by its first entries: there may be a million."""
    with os.scandir(folder) as entries:
        return any(is_image(entry.name) for entry in islice(entries, 20))


def _part_of_file(name: str) -> PartName:
    return next((part for word in _WORD.findall(name.lower()) if (part := part_of(word))), "train")


def _has_class_folders(root: Path, files: Sequence[Path]) -> bool:
    """Return whether a folder has images in its folders; a repository may have one folder of pictures to show."""
    folders = (entry for entry in root.iterdir() if is_visible(entry.name) and entry.is_dir())
    n_allowed = 1 if all(_NUMBERED.search(path.name) for path in files) else 0
    n = 0
    for folder in folders:
        n += next(image_names(str(folder)), None) is not None
        if n > n_allowed:
            return True
    return False
