"""The names and sizes of the images that a run began with, to detect later changes."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import xxhash

from clfctl.data.sources.base import Data, FileImages, Part
from clfctl.data.sources.hf import ArrowImages
from clfctl.data.sources.manifest import is_manifest
from clfctl.data.sources.shards import TarImages
from clfctl.errors import DataError
from clfctl.storage.files import explained, replace_file

Sizes = dict[str, int]


@dataclass(frozen=True)
class DataChange:
    """What has changed: sorted names of images."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    replaced: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.replaced)

    def __str__(self) -> str:
        """Return each count with a first name: `3 added (cat/9.jpg, …), 1 removed (dog/2.jpg)`."""
        words = []
        for names, what in ((self.added, "added"), (self.removed, "removed"), (self.replaced, "replaced")):
            if names:
                words.append(f"{len(names)} {what} ({names[0]}{', …' if len(names) > 1 else ''})")
        return ", ".join(words)


def list_images(data: Data, root: str) -> Sizes:
    """Return the size in bytes of every image file, by its name under `root`.

    A table that lists them is included by its content. Images that are not files are recorded as their number, under a
    name that holds a digest of their labels.
    """
    listing: Sizes = {}
    if is_manifest(root):
        # Classes, splits and weights stand in the table, not in the names of the files.
        table = Path(root).expanduser()
        content = table.read_bytes()
        listing[f"{table.name} of content {xxhash.xxh3_64_hexdigest(content)}"] = len(content)
        root = str(table.parent)
    parts = {"train": data.train, "val": data.val, "test": data.test}
    for name, part in parts.items():
        if not part:
            continue
        if isinstance(part.source, FileImages):
            listing.update(_files(part, part.source, root))
        else:
            labels = [part.source.labels[index] for index in part.indices]
            if isinstance(part.source, TarImages | ArrowImages):
                listing |= {f"{path.parent.name}/{path.name}": path.stat().st_size for path in part.source.shards}
            digest = hashlib.sha256(repr(labels).encode()).hexdigest()[:16]
            listing[f"{name} images with labels {digest}"] = len(labels)
    return listing


def compare(before: Sizes, now: Sizes) -> DataChange:
    """Return what has changed from `before` to `now`."""
    return DataChange(
        tuple(sorted(now.keys() - before.keys())),
        tuple(sorted(before.keys() - now.keys())),
        tuple(sorted(name for name in before.keys() & now.keys() if before[name] != now[name])),
    )


def write_listing(path: Path, listing: Sizes) -> None:
    """Write a listing as compressed lines of size and name. Raises WriteError."""
    lines = (f"{size}\t{_on_one_line(name)}\n" for name, size in listing.items())
    # No time stamp: the same listing is the same bytes.
    packed = gzip.compress("".join(lines).encode("utf-8", "surrogateescape"), compresslevel=3, mtime=0)
    with explained(path):
        replace_file(path, [packed])


def read_listing(path: Path) -> Sizes:
    """Return a listing that was written. Raises DataError if it cannot be read."""
    try:
        text = gzip.decompress(path.read_bytes()).decode("utf-8", "surrogateescape")
        pairs = (line.split("\t", 1) for line in text.split("\n") if line)
        return {name: int(size) for size, name in pairs}
    except (OSError, EOFError, ValueError, zlib.error) as error:
        hint = "use `allow_data_change=True` if you know that the images are the same"
        raise DataError(f"{path}, the list of the run's images, cannot be read: {error}", hint) from None


def _files(part: Part, source: FileImages, root: str) -> Iterable[tuple[str, int]]:
    prefix = os.path.join(os.path.expanduser(root), "")  # noqa: PTH111, PTH118 (a million pathlib joins take seconds)
    for index in part.indices:
        path = os.fspath(source.paths[index])
        try:
            size = os.stat(path).st_size  # noqa: PTH116 (as above)
        except OSError:
            size = -1  # a broken link is listed too: mended, it counts as replaced
        yield _on_one_line(path.removeprefix(prefix)), size


def _on_one_line(name: str) -> str:
    return name.replace("\n", "\\n").replace("\r", "\\r")
