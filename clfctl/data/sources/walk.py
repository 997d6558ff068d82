"""The image files under a folder, by names relative to it: a million in seconds and megabytes. No torch here."""

import os
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec

from clfctl.errors import DataError

# HEIC is read where the extra `heic` is installed.
HEIC = (".heic", ".heif")
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif",
    *(HEIC if find_spec("pillow_heif") else ()),
})  # fmt: skip
# What systems and network drives put into folders of their own accord, besides hidden files.
SYSTEM_FOLDERS = frozenset({"$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle"})
SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})
# A folder that has both is a run of clfctl: its plots are images, but no data.
_RUN_HAS = frozenset({"config.toml", "checkpoints"})

Key = tuple[int, int]
_UNKNOWN_INODES = (0, 0xFFFFFFFF)  # what file systems give that have no numbers
_MASK = (1 << 64) - 1


def is_visible(name: str) -> bool:
    """Return whether a file or folder counts: hidden ones and caches do not."""
    return not name.startswith((".", "__"))


def is_image(name: str) -> bool:
    """Return whether a file name is that of an image."""
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in SUFFIXES and is_visible(name)


def folder_counts(name: str) -> bool:
    """Return whether a folder may hold data, by its name: hidden ones and those that systems make do not."""
    return is_visible(name) and name.lower() not in SYSTEM_FOLDERS


@dataclass
class Seen:
    """What a walk met: `keys` (N,) say which file each image is, so that one file under two names is known.

    `others` counts the files that are not images by ending, `circles` are links to a folder that they lie in, `runs`
    are run folders: both were left out. So are folders that cannot be listed, with the reason, where `unlisted` is not
    None. A key is 0 where the system does not tell without reading each file's status.
    """

    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    others: Counter[str] = field(default_factory=Counter)
    circles: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    unlisted: dict[str, str] | None = None


def image_names(
    folder: str, seen: Seen | None = None, *, below: str = "", follows: Callable[[str], bool] | None = None
) -> Iterator[str]:
    """Yield the name of every image under a folder relative to it, with `/`, in the order of the names' parts.

    Only what lies in its folder `below` is listed, if that is given. Links to folders are followed, if `follows` does
    not say no to their names, but never into a folder that the link lies in. Run folders are left out. What is met
    besides is kept in `seen`. Raises DataError for a folder that cannot be listed, unless `seen` takes note of those.
    """
    walk = _Walk(seen or Seen(), follows)
    start = f"{folder}/{below}" if below else folder
    above = _above_target(start) | (_above_place(start) if below else frozenset())
    yield from walk.names(start, f"{below}/" if below else "", above)


def is_circle(link: str) -> bool:
    """Return whether a link to a folder leads to one that it lies in. Raises OSError if it leads nowhere."""
    status = os.stat(link)
    return (status.st_dev, status.st_ino) in _above_place(link)


def is_run(folder: str) -> bool:
    """Return whether a folder is a run of clfctl."""
    return all(os.path.exists(os.path.join(folder, name)) for name in _RUN_HAS)


def _above_place(path: str) -> frozenset[Key]:
    """Return the folders that a path lies in, whatever it may be a link to."""
    return _chain(os.path.dirname(path) or ".")


def _above_target(path: str) -> frozenset[Key]:
    """Return the folders that hold what a path leads to."""
    return _chain(os.path.dirname(os.path.realpath(path)))


def _chain(folder: str) -> frozenset[Key]:
    """Return device and inode of a folder and of every folder above it."""
    folder, below = os.path.realpath(folder), ""
    found = []
    while folder != below:
        with suppress(OSError):  # a folder above that may not be looked into
            status = os.stat(folder)
            found.append((status.st_dev, status.st_ino))
        folder, below = os.path.dirname(folder), folder
    return frozenset(found)


@dataclass
class _Walk:
    seen: Seen
    follows: Callable[[str], bool] | None

    def names(self, folder: str, prefix: str, above: frozenset[Key]) -> Iterator[str]:
        try:
            status = os.stat(folder)
            key = (status.st_dev, status.st_ino)
            if key in above:
                self.seen.circles.append(prefix.rstrip("/"))
                return
            images, folders, others = self._listed(folder, status.st_dev)
        except OSError as error:
            if self.seen.unlisted is not None:
                self.seen.unlisted[folder] = error.strerror or str(error)
                return
            raise DataError(f"{folder} cannot be listed: {error.strerror or error}", field="data") from None
        if prefix and {*others, *(name for name, _ in folders)} >= _RUN_HAS:
            self.seen.runs.append(prefix.rstrip("/"))
            return
        self.seen.others.update(_ending(name) for name in others if name.lower() not in SYSTEM_FILES)
        for name, number in sorted([*images, *folders]):
            if number >= 0:
                self.seen.keys.append(number)
                yield prefix + name
                continue
            is_link = number == _LINK
            if is_link and self.follows and not self.follows(prefix + name):
                continue
            inside = above | {key} | (_above_target(f"{folder}/{name}") if is_link else frozenset())
            yield from self.names(f"{folder}/{name}", f"{prefix}{name}/", inside)

    def _listed(self, folder: str, device: int) -> tuple[list[tuple[str, int]], list[tuple[str, int]], list[str]]:
        """Return (name, key) of each image, (name, kind) of each folder, and the names of other files; visible ones."""
        images, folders, others = [], [], []
        salt = device * 0x9E3779B97F4A7C15
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                # What is named as an image is taken for a file without asking: asking a million takes seconds.
                if is_image(name):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((name, _FOLDER))
                    else:
                        images.append((name, _key(entry, salt)))
                elif not is_visible(name):
                    continue
                elif not entry.is_dir():
                    others.append(name)
                elif folder_counts(name):
                    folders.append((name, _LINK if entry.is_symlink() else _FOLDER))
        return images, folders, others


# In place of an image's key, which is at least 0.
_FOLDER, _LINK = -1, -2


def _key(entry: os.DirEntry[str], salt: int) -> int:
    """Return a number that two names of one file share, 0 if it is not known; `salt` stands for the device."""
    if sys.platform == "win32":
        return 0  # there it would cost a call for every file
    if not entry.is_symlink():
        inode = entry.inode()
        return 0 if inode in _UNKNOWN_INODES else (salt ^ inode) & _MASK
    try:
        status = entry.stat()
    except OSError:
        return 0
    return (status.st_dev * 0x9E3779B97F4A7C15 ^ status.st_ino) & _MASK


def _ending(name: str) -> str:
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else "without an ending"
