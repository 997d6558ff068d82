"""What check-data checks: the images of a folder or a table, and where each belongs as training reads it. No torch."""

import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from clfctl.data.copies import File, file_at, kind_of
from clfctl.data.findings import Finding, Place
from clfctl.data.sources.index import Paths
from clfctl.data.sources.layout import Layout, class_folders, notes_about, read_layout
from clfctl.data.sources.manifest import read_manifest
from clfctl.data.sources.parts import PARTS
from clfctl.data.sources.walk import SUFFIXES, Seen, folder_counts, image_names
from clfctl.errors import DataError


@dataclass(frozen=True)
class Subject:
    """The images to check: `names` relative to `root`; where each belongs, and which file it is, by its number.

    `links` are findings about links to folders, whose images are checked where they really lie; `notes` are sentences.
    """

    root: str
    names: Sequence[str]
    place_of: Callable[[int], Place]
    file_of: Callable[[int], File]
    links: list[Finding] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def of_folder(root: Path, runs_dir: Path) -> Subject:
    """Return the images of a folder. Raises DataError if it has none, or cannot be listed."""
    layout, notes = None, []
    try:
        layout = read_layout(root, runs_dir)
    except DataError as error:
        what = "training would refuse this folder, so copies in its subfolders are not looked for"
        notes.append(f"{what}: {error.message}")
    readings = _Readings(root, layout)
    seen = Seen()
    names = list(image_names(str(root), seen, follows=readings.follows))
    if not names:
        hint = f"image files end in {', '.join(sorted(SUFFIXES))}"
        raise DataError(f"{root} has no images", hint)

    def file_of(index: int) -> File:
        return file_at(f"{root}/{names[index]}")

    notes += notes_about(seen.circles, seen.runs)
    links = readings.links
    return Subject(str(root), names, lambda index: readings.place(names[index]), file_of, links, tuple(notes))


def of_table(path: Path) -> Subject:
    """Return the images that a table lists; each row is an image of its own, whatever file it names."""
    found = read_manifest(path)
    parts = list(found.parts.items())
    ends = list(accumulate(len(images.paths) for _, images in parts))

    def place_of(number: int) -> Place:
        which = bisect_right(ends, number)
        name, images = parts[which]
        return Place(name, found.classes[images.labels[number - ends[which] + len(images.paths)]])

    names = [each for _, images in parts if isinstance(images.paths, Paths) for each in images.paths.names]
    return Subject(str(path.parent), names, place_of, lambda number: File(str(number), (0, number), is_link=False))


class _Readings:
    """Where training reads each image of a folder, by the folder's layout; None: it has no classes to compare."""

    def __init__(self, root: Path, layout: Layout | None) -> None:
        self.links: list[Finding] = []
        self._real = os.path.realpath(root)
        self._root, self._outside = root, dict[str, str]()
        folders = {part: layout.part(part) for part in PARTS} if layout and layout.is_divided else {}
        self._parts = {folder.name: part for part, folder in folders.items() if folder}
        self._classes = {
            name: frozenset(class_folders(root / name).names if self._parts else ()) for name in self._parts
        }
        if layout and layout.is_divided:
            self._leave_out_test(layout)
        elif layout and layout.classes:
            self._classes[""] = frozenset(layout.classes)

    def _leave_out_test(self, layout: Layout) -> None:
        """Forget a test part without one of the classes: it is not read."""
        if layout.test and layout.train and not self._classes[layout.test.name] & self._classes[layout.train.name]:
            del self._classes[layout.test.name]

    def place(self, name: str) -> Place:
        """Return where an image belongs, by its name relative to the folder."""
        if not self._classes:
            # Nobody knows which folders are classes or parts: a copy in another one may be a leak, or belong there.
            return Place("", "", is_read="/" not in name)
        folders = name.split("/")[:-1]
        part = folders.pop(0) if self._parts and folders else ""
        if not folders or folders[0] not in self._classes.get(part, ()):
            return Place("", "", is_read=False)
        return Place(self._parts.get(part, ""), folders[0])

    def follows(self, name: str) -> bool:
        """Return whether the images below a link to a folder are checked there: not if they are where they really lie.

        If that reads them twice, the link is a finding.
        """
        target = os.path.realpath(self._root / name)
        if not (below := _below(self._real, target)):
            first = self._outside.setdefault(target, name)
            return first == name or not self._is_read_twice(name, first)
        # What leads back into itself is left out by the walk.
        return name.startswith(f"{below}/") or not self._is_read_twice(name, below)

    def _is_read_twice(self, link: str, other: str) -> bool:
        place, first = self.place(f"{link}/x"), self.place(f"{other}/x")
        if not first.is_read:
            return False  # what is read is the link
        if place.is_read:
            self.links.append(Finding(kind_of(place, first), link, f"a link to {other}, which is read as well", other))
        return True


def _below(root: str, path: str) -> str:
    """Return a path relative to a folder, with `/`, if it lies in it and is listed there; else nothing."""
    parts = Path(os.path.relpath(path, root)).parts
    return "/".join(parts) if all(folder_counts(part) for part in parts) else ""  # `..` is a hidden name
