"""WebDataset shards as the data: .tar files that hold images beside their classes, read without unpacking."""

import json
import re
import tarfile
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from clfctl.data.pixels.image_file import open_image
from clfctl.data.sources.index import sorted_classes
from clfctl.data.sources.names import SHARD
from clfctl.data.sources.walk import SUFFIXES, is_visible
from clfctl.errors import DataError, UsageError

JSON_KEYS = ("label", "cls", "class")
HINT = 'each image needs its class beside it: for 0001.jpg, 0001.cls or 0001.json with {"label": …}'
# Shards with such a word in their name, as train-0001.tar, are of that part; without any for training all are.
_PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class TarImages:
    """Images inside .tar files: image i is the `sizes[i]` bytes at `offsets[i]` of `shards[places[i]]`."""

    shards: Sequence[Path]
    labels: "array[int]" = field(default_factory=lambda: array("i"))
    places: "array[int]" = field(default_factory=lambda: array("i"))
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    names: list[str] = field(default_factory=list)

    def open(self, index: int) -> Image.Image:
        """Open an image; all of its bytes are read here."""
        with self.shards[self.places[index]].open("rb") as file:
            file.seek(self.offsets[index])
            return open_image(file.read(self.sizes[index]))

    def name(self, index: int) -> str:
        """Return shard and member."""
        return f"{self.shards[self.places[index]]}:{self.names[index]}"


@dataclass(frozen=True)
class ShardIndex:
    """The images of shards; `val` and `test` are None where no shard belongs to that part."""

    classes: tuple[str, ...]
    train: TarImages
    val: TarImages | None
    test: TarImages | None


def find_shards(root: Path) -> list[Path]:
    """Return the shards that a path names: itself, or those in a folder without subfolders; perhaps none."""
    if root.name.lower().endswith(SHARD) and not root.is_dir():
        return [root]
    if not root.is_dir():
        return []
    entries = [entry for entry in root.iterdir() if is_visible(entry.name)]
    shards = sorted(entry for entry in entries if entry.name.lower().endswith(SHARD))
    # Beside class folders lies at most the archive that they came in.
    return [] if shards and any(entry.is_dir() for entry in entries) else shards


def index_shards(shards: Sequence[Path]) -> ShardIndex:
    """Read the headers of shards: where each image lies, and its class.

    Raises UsageError if a shard does not exist, DataError if one cannot be read or an image has no class.
    """
    by_part: dict[str, list[Path]] = {"train": [], "val": [], "test": []}
    for path in shards:
        words = _WORD.findall(path.name.lower())
        by_part[next((_PARTS[word] for word in words if word in _PARTS), "train")].append(path)
    if not by_part["train"]:
        by_part = {"train": list(shards), "val": [], "test": []}
    numbers: dict[str, int] = {}
    parts = {name: _read_part(paths, numbers) for name, paths in by_part.items()}
    classes = sorted_classes(tuple(numbers))
    if len(classes) < 2:
        what = f"has only one class ({classes[0]})" if classes else "has no images"
        raise DataError(f"{shards[0].parent if len(shards) > 1 else shards[0]} {what}", HINT, field="data")
    if missing := set(range(len(classes))) - set(parts["train"].labels):
        names = sorted(name for name, number in numbers.items() if number in missing)
        raise DataError(f"the training shards have no images of {', '.join(names[:5])}", field="data")
    place_of = {number: classes.index(name) for name, number in numbers.items()}
    for part in parts.values():
        part.labels[:] = array("i", (place_of[number] for number in part.labels))
    train, val, test = (part if part.names else None for part in parts.values())
    assert train is not None
    return ShardIndex(classes, train, val, test)


def _read_part(shards: Sequence[Path], numbers: dict[str, int]) -> TarImages:
    images = TarImages(shards)
    for place, path in enumerate(shards):
        for member, class_name in _samples(path):
            images.names.append(member.name)
            images.labels.append(numbers.setdefault(class_name, len(numbers)))
            images.places.append(place)
            images.offsets.append(member.offset_data)
            images.sizes.append(member.size)
    return images


def _samples(path: Path) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Yield the header of each image of a shard and the name of its class."""
    images: dict[str, tarfile.TarInfo] = {}
    classes: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                folder, slash, name = member.name.rpartition("/")
                stem, _, suffix = name.partition(".")
                if not member.isfile() or not is_visible(name):
                    continue
                key = f"{folder}{slash}{stem}"
                if f".{suffix.lower()}" in SUFFIXES:
                    images.setdefault(key, member)
                elif suffix in ("cls", "json") and (file := tar.extractfile(member)):
                    _note_class(classes, key, suffix, file.read())
                tar.members = []  # type: ignore[attr-defined]  # else it keeps the header of every member
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist", HINT, field="data") from None
    except (OSError, tarfile.TarError, ValueError) as error:
        hint = "shards are uncompressed .tar files"
        raise DataError(f"{path} cannot be read: {error}", hint, field="data") from None
    for key, member in images.items():
        if key not in classes:
            raise DataError(f"{path}: {member.name} has no class", HINT, field="data")
        yield member, classes[key]


def _note_class(classes: dict[str, str], key: str, suffix: str, content: bytes) -> None:
    """Keep the class that a member names, if any; `.cls` wins over JSON. Raises ValueError if it cannot be read."""
    if suffix == "cls":
        classes[key] = content.decode("utf-8").strip()
        return
    value = json.loads(content)
    label = next((value[each] for each in JSON_KEYS if each in value), None) if isinstance(value, dict) else None
    if isinstance(label, str | int):
        classes.setdefault(key, str(label))
