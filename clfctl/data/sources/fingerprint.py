"""The names and sizes of the images that a run began with, and what a sample of them holds, to detect later changes."""

import contextlib
import gzip
import hashlib
import heapq
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import xxhash

from clfctl.data.sources.arrow import ArrowImages
from clfctl.data.sources.base import Data, FileImages, ImageSource, Part
from clfctl.data.sources.content import content_of, head_and_tail
from clfctl.data.sources.manifest import is_manifest
from clfctl.data.sources.shards import TarImages
from clfctl.errors import DataError
from clfctl.storage.files import explained, replace_file

# So many images are read to compare them: at most 64 MB, whatever a data set holds.
N_SAMPLED = 256
# A listing has sizes enough to tell images apart if so many are different, or half of them where there are few.
_N_TELLING = 16


@dataclass(frozen=True)
class Listing:
    """The size in bytes of every image by its name, and digests of a sample; runs of older versions have none."""

    sizes: dict[str, int]
    contents: dict[str, str] = field(default_factory=dict)

    @property
    def is_telling(self) -> bool:
        """Whether images that have these names and sizes are these images, as far as sizes can tell."""
        n_files = sum(" images with labels " not in name for name in self.sizes)
        enough = min(_N_TELLING, max(2, n_files // 2))
        return n_files == len(self.sizes) and len(set(self.sizes.values())) >= enough


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


def list_images(data: Data, root: str) -> Listing:
    """Return the size in bytes of every image file, by its name under `root`, and what a sample of them holds.

    A table that lists them is included by its content. Images that are not files are recorded as their number, under a
    name that holds a digest of their labels.
    """
    sizes: dict[str, int] = {}
    if is_manifest(root) and isinstance(data.train.source, FileImages):
        # Classes, splits and weights stand in the table, not in the names of the files.
        table = Path(root)
        content = table.read_bytes()
        sizes[f"{table.name} of content {xxhash.xxh3_64_hexdigest(content)}"] = len(content)
        root = str(table.parent)
    sampled = heapq.nsmallest(N_SAMPLED, _images(data, root, sizes), key=itemgetter(0))
    return Listing(sizes, {name: _digest(part.source, index) for _, name, index, part in sampled})


def _images(data: Data, root: str, sizes: dict[str, int]) -> Iterator[tuple[int, str, int, Part]]:
    """Note the size of every image, and yield those to sample from: (a digest of its name, name, its number, part).

    By digests of names the sample is the same whatever is added, and spread over all images.
    """
    for title, part in (("train", data.train), ("val", data.val), ("test", data.test)):
        if not part:
            continue
        if isinstance(part.source, FileImages):
            for name, size, index in _files(part, part.source, root):
                sizes[name] = size
                yield xxhash.xxh3_64_intdigest(os.fsencode(name)), name, index, part
            continue
        labels = [part.source.labels[index] for index in part.indices]
        if isinstance(part.source, TarImages | ArrowImages):
            sizes |= {f"{path.parent.name}/{path.name}": path.stat().st_size for path in part.source.shards}
        digest = hashlib.sha256(repr(labels).encode()).hexdigest()[:16]
        sizes[f"{title} images with labels {digest}"] = len(labels)
        if title != "test":  # it may still have to be unpacked
            for index in part.indices[:: max(1, len(part) // N_SAMPLED)]:
                name = f"{title} image {index}"
                yield xxhash.xxh3_64_intdigest(name.encode()), name, index, part


def compare(before: Listing, now: Listing) -> DataChange:
    """Return what has changed from `before` to `now`."""
    before = named_as(now, before)
    common = before.sizes.keys() & now.sizes.keys()
    replaced = {name for name in common if before.sizes[name] != now.sizes[name]}
    sampled = before.contents.keys() & now.contents.keys()
    replaced |= {name for name in sampled if before.contents[name] != now.contents[name]}
    return DataChange(
        tuple(sorted(now.sizes.keys() - before.sizes.keys())),
        tuple(sorted(before.sizes.keys() - now.sizes.keys())),
        tuple(sorted(replaced)),
    )


def named_as(now: Listing, before: Listing) -> Listing:
    """Return a listing with names relative to the data folder, as those of `now` are.

    Earlier versions kept the folder in the names if it was given as `./pics` or `a//b`.
    """
    if not before.sizes or before.sizes.keys() & now.sizes.keys():
        return before
    folders = next(iter(before.sizes)).split("/")[:-1]
    for n in range(1, len(folders) + 1):
        prefix = "/".join(folders[:n]) + "/"
        if not all(name.startswith(prefix) for name in before.sizes):
            break
        sizes = {name.removeprefix(prefix): size for name, size in before.sizes.items()}
        if sizes.keys() & now.sizes.keys():
            return Listing(sizes, {name.removeprefix(prefix): digest for name, digest in before.contents.items()})
    return before


def write_listing(path: Path, listing: Listing) -> None:
    """Write a listing: compressed lines of size and name, and beside them what the sample holds. Raises WriteError."""
    lines = (f"{size}\t{_on_one_line(name)}\n" for name, size in listing.sizes.items())
    # No time stamp: the same listing is the same bytes.
    packed = gzip.compress("".join(lines).encode("utf-8", "surrogateescape"), compresslevel=3, mtime=0)
    with explained(path):
        # Never the sample of another listing: until both are written there is none.
        with contextlib.suppress(FileNotFoundError):
            _sample_file(path).unlink()
        replace_file(path, [packed])
    with explained(_sample_file(path)):
        replace_file(_sample_file(path), [json.dumps(listing.contents, indent=0).encode()])


def read_listing(path: Path) -> Listing:
    """Return a listing that was written. Raises DataError if it cannot be read."""
    try:
        text = gzip.decompress(path.read_bytes()).decode("utf-8", "surrogateescape")
        pairs = (line.split("\t", 1) for line in text.split("\n") if line)
        return Listing({name: int(size) for size, name in pairs}, _read_sample(path))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        hint = "use `allow_data_change=True` if you know that the images are the same"
        raise DataError(f"{path}, the list of the run's images, cannot be read: {error}", hint) from None


def _read_sample(path: Path) -> dict[str, str]:
    try:
        found = json.loads(_sample_file(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # of an older run, or lost: then names and sizes have to do
    return {str(name): str(digest) for name, digest in found.items()} if isinstance(found, dict) else {}


def _sample_file(path: Path) -> Path:
    return path.with_name("data_sample.json")


def _files(part: Part, source: FileImages, root: str) -> Iterator[tuple[str, int, int]]:
    prefix = os.path.join(Path(os.path.expanduser(root)), "")  # a Path spells `./pics` and `a//b` as the sources do
    for index in part.indices:
        path = os.fspath(source.paths[index])
        try:
            size = os.stat(path).st_size
        except OSError:
            size = -1  # a broken link is listed too: mended, it counts as replaced
        yield _on_one_line(path.removeprefix(prefix)), size, index


def _digest(source: ImageSource, index: int) -> str:
    """Return a digest of how an image's file begins and ends; "" if it cannot be read."""
    content = content_of(source, index) if not isinstance(source, FileImages) else head_and_tail(source.paths[index])
    return "" if content is None else xxhash.xxh3_128_hexdigest(content)


def _on_one_line(name: str) -> str:
    return name.replace("\n", "\\n").replace("\r", "\\r")
