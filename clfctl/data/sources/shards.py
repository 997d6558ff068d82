"""WebDataset shards as the data: .tar files that hold images beside their classes, read without unpacking."""

import os
import sys
import weakref
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from clfctl.data.onlookers import no_line
from clfctl.data.pixels.image_file import open_image
from clfctl.data.sources.found import Found
from clfctl.data.sources.index import sorted_classes
from clfctl.data.sources.parts import PartName
from clfctl.data.sources.samples import HINT, Counts, read_samples
from clfctl.data.sources.text_table import UNPACK_ERRORS, is_compressed, open_unpacked
from clfctl.data.sources.unpacked import check_is_here, place_of, unpack
from clfctl.errors import DataError, UsageError, shortened
from clfctl.storage.files import BLOCK_BYTES, in_bytes

# Of the 1,024 files that a process may usually have open.
_N_HELD = 256


class _OpenFile:
    """A file that is kept open as long as this object is there. Raises OSError if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.descriptor)


@dataclass(frozen=True)
class TarImages:
    """Images inside .tar files: image i is the `sizes[i]` bytes at `offsets[i]` of `files[places[i]]`.

    `shards` are the files that the user knows; `files` are the same, or where those that were packed are unpacked.
    `held` keeps unpacked ones open, by their places: when a shard changes, another process removes what it held.
    """

    shards: Sequence[Path]
    labels: "array[int]" = field(default_factory=lambda: array("i"))
    places: "array[int]" = field(default_factory=lambda: array("i"))
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    names: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    held: dict[int, _OpenFile] = field(default_factory=dict)

    def open(self, index: int) -> Image.Image:
        """Open an image; all of its bytes are read here."""
        return open_image(self.content(index))

    def content(self, index: int) -> bytes:
        """Return the bytes of an image's file."""
        if (held := self.held.get(self.places[index])) and sys.platform != "win32":
            return os.pread(held.descriptor, self.sizes[index], self.offsets[index])
        with self.files[self.places[index]].open("rb") as file:
            file.seek(self.offsets[index])
            return file.read(self.sizes[index])

    def name(self, index: int) -> str:
        """Return shard and member."""
        return f"{self.shards[self.places[index]]}:{self.names[index]}"


@dataclass
class _Unpacking:
    """Where compressed shards are unpacked to, who is told before the first is, and how many bytes they are so far."""

    folder: Path
    tell: Callable[[str], None]
    n_bytes: int = 0

    def unpack(self, path: Path, place: Path) -> None:
        if not self.n_bytes:
            self.tell(f"Data   unpacking compressed shards into {self.folder}, once: {path} and those that follow")
        unpack(path, place, 2 * path.stat().st_size, _pieces(path))
        self.n_bytes += place.stat().st_size


def index_shards(
    parts: Mapping[PartName, Sequence[Path]], folder: Path, tell: Callable[[str], None] = no_line
) -> Found[TarImages]:
    """Read the headers of shards: where each image lies, and its class; compressed ones are unpacked into `folder`.

    `tell` takes a line before the first is unpacked.

    Raises UsageError if a shard does not exist, DataError if one cannot be read or an image has no class.
    """
    numbers: dict[str, int] = {}
    counts = Counts()
    unpacking = _Unpacking(folder, tell)
    found = {part: _read_part(shards, numbers, counts, unpacking) for part, shards in parts.items()}
    classes = sorted_classes(tuple(numbers))
    places = {name: place for place, name in enumerate(classes)}
    place_of_number = {number: places[name] for name, number in numbers.items()}
    for images in found.values():
        images.labels[:] = array("i", (place_of_number[number] for number in images.labels))
    notes = counts.notes()
    if unpacking.n_bytes:
        notes.append(f"compressed shards were unpacked into {folder}: {in_bytes(unpacking.n_bytes)}")
    if not any(images.names for images in found.values()):
        one = next(shards for shards in parts.values())
        raise DataError(
            f"{one[0].parent if len(one) > 1 else one[0]} has no images", counts.why() or HINT, field="data"
        )
    return Found(classes, {part: images for part, images in found.items() if images.names}, tuple(notes))


def _read_part(shards: Sequence[Path], numbers: dict[str, int], counts: Counts, unpacking: _Unpacking) -> TarImages:
    images = TarImages(shards)
    for place, path in enumerate(shards):
        file = _readable(path, unpacking)
        images.files.append(file)
        if file != path and len(images.held) < _N_HELD:
            images.held[place] = _OpenFile(file)
        for image, class_name in read_samples(path, file, counts):
            images.names.append(image.name)
            images.labels.append(numbers.setdefault(class_name, len(numbers)))
            images.places.append(place)
            images.offsets.append(image.offset)
            images.sizes.append(image.size)
    return images


def _readable(path: Path, unpacking: _Unpacking) -> Path:
    """Return a shard, or the file that it is unpacked to if it is compressed: single images are read from it."""
    try:
        check_is_here(path)
        if not is_compressed(path):
            return path
        place = place_of(path, ".tar", unpacking.folder)
        if not place.is_file():
            unpacking.unpack(path, place)
        return place
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist", HINT, field="data") from None
    except UNPACK_ERRORS as error:
        raise DataError(f"{path} cannot be read: {shortened(error)}", field="data") from None


def _pieces(path: Path) -> Iterator[bytes]:
    with open_unpacked(path) as file:
        try:
            while block := file.read(BLOCK_BYTES):
                yield block
        except UNPACK_ERRORS as error:  # of the packed file, not of the one that is written
            raise DataError(f"{path} cannot be unpacked: {shortened(error)}", field="data") from None
