"""Which of several files of the same content are wrong: copies, and other names of one file by links. No torch here."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from clfctl.data.findings import Finding, Place

# Parts of the data, most precious first: of copies in several parts, those of the first are kept.
_PRECIOUS = ("test", "val", "train", "")


class File(NamedTuple):
    """Which file a name is: `entry` is the name's own place on the disk, `key` the device and inode behind it."""

    entry: str
    key: tuple[int, int]
    is_link: bool


def file_at(path: str) -> File:
    """Return which file a path is; one that has gone meanwhile is like no other."""
    folder, name = os.path.split(path)
    entry = os.path.join(os.path.realpath(folder), name)  # realpath of the whole would follow the link
    try:
        status = os.stat(path)
    except OSError:
        return File(entry, (-1, hash(entry)), is_link=False)
    return File(entry, (status.st_dev, status.st_ino), os.path.islink(entry))


def judge_copies(
    names: Sequence[str], copies: Sequence[int], place_of: Callable[[int], Place], file_of: Callable[[int], File]
) -> Iterator[tuple[int, Finding]]:
    """Yield what is wrong with images of the same content, by their numbers: nothing with the one that is kept.

    A link to an image that is read as well is wrong, never that image. In two classes no copy is kept, since none is
    known to be right; else one of the most precious part is. What training does not read is at most a double.
    """
    places = {index: place_of(index) for index in copies}
    read = [index for index in copies if places[index].is_read]
    files = {index: file_of(index) for index in copies}
    links = _links(read, files)
    for index, real in links.items():
        yield index, _copy(names, kind_of(places[index], places[real]), index, real, "a link to")
    whole = [index for index in read if index not in links]
    yield from _judge_whole(names, whole, places)
    known = {files[index].key for index in read}
    for index in copies:
        if not places[index].is_read and read and files[index].key not in known:
            yield index, _copy(names, "double", index, read[0])


def kind_of(place: Place, other: Place) -> str:
    """Return what is wrong where an image at one place is another image again."""
    if place.class_name != other.class_name:
        return "two-classes"
    return "leak" if place.part != other.part else "duplicate"


def _links(read: Sequence[int], files: dict[int, File]) -> dict[int, int]:
    """Return the images that are links to one that is read under its own name, each with that one."""
    entries: set[str] = set()
    own: dict[tuple[int, int], int] = {}
    links = []
    for index in read:
        if files[index].is_link or files[index].entry in entries:
            links.append(index)
        else:
            entries.add(files[index].entry)
            own.setdefault(files[index].key, index)
    return {index: own[files[index].key] for index in links if files[index].key in own}


def _judge_whole(
    names: Sequence[str], copies: Sequence[int], places: dict[int, Place]
) -> Iterator[tuple[int, Finding]]:
    """Yield what is wrong with copies each of which is a file of its own."""
    by_class = {places[index].class_name: index for index in reversed(copies)}
    if len(by_class) > 1:
        for index in copies:
            other = next(each for name, each in by_class.items() if name != places[index].class_name)
            yield index, _copy(names, "two-classes", index, other)
        return
    kept = min(copies, key=lambda index: _PRECIOUS.index(places[index].part), default=None)
    for index in copies:
        if kept is not None and index != kept:
            yield index, _copy(names, kind_of(places[index], places[kept]), index, kept)


def _copy(names: Sequence[str], kind: str, index: int, other: int, how: str = "the same file as") -> Finding:
    return Finding(kind, names[index], f"{how} {names[other]}", names[other])
