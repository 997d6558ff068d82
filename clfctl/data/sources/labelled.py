"""Images to measure a trained model on, whose classes are matched with those of the model by name."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from clfctl.data.onlookers import no_line
from clfctl.data.pixels.decode import Picture
from clfctl.data.sources.base import Data, FileImages, ImageSource, Part
from clfctl.data.sources.folder import index_part
from clfctl.data.sources.found import Found, listed
from clfctl.data.sources.idx import idx_pair
from clfctl.data.sources.index import Listing, readable_names
from clfctl.data.sources.layout import read_layout
from clfctl.data.sources.manifest import is_manifest, read_manifest, with_files
from clfctl.data.sources.names import about_name, is_named
from clfctl.data.sources.open import open_data, runs_dir_of
from clfctl.data.sources.packed import find_packed
from clfctl.data.sources.parts import PartName
from clfctl.errors import DataError, UsageError
from clfctl.settings.data import ImageSettings

ALL = "all"
T = TypeVar("T")


@dataclass(frozen=True)
class Labelled:
    """Images with labels, numbers of `classes`; `split` says which of the data they are: val, test or all.

    `notes` are sentences about what the user may not expect of them.
    """

    classes: tuple[str, ...]
    part: Part
    split: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Matched:
    """Images with labels of a model; `unknown` counts those left out by class, `absent` are classes without images."""

    part: Part
    unknown: dict[str, int]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class RenumberedImages:
    """Images of another source under other labels."""

    source: ImageSource
    labels: Sequence[int]

    def open(self, index: int) -> Picture:
        """Open an image as its source does."""
        return self.source.open(index)

    def name(self, index: int) -> str:
        """Return the name that the source has for it."""
        return self.source.name(index)


def match(images: Labelled, classes: Sequence[str]) -> Matched:
    """Give images the labels of a model with these classes, by name. Raises DataError if no image has one of them."""
    number_of = {name: number for number, name in enumerate(classes)}
    places = [number_of.get(name, -1) for name in images.classes]
    labels = images.part.source.labels
    counts = Counter(labels[index] for index in images.part.indices)
    unknown = {name: counts[label] for label, name in enumerate(images.classes) if places[label] < 0 and counts[label]}
    found = {places[label] for label in counts}
    absent = tuple(name for number, name in enumerate(classes) if number not in found)
    if not found - {-1}:
        hint = f"the data has {listed(images.classes)}; the model knows {listed(classes)}"
        raise DataError("none of its classes is one that the model knows", hint, field="data")
    if places == list(range(len(classes))):
        return Matched(images.part, unknown, absent)
    source = RenumberedImages(images.part.source, [places[label] for label in labels])
    known = [index for index in images.part.indices if source.labels[index] >= 0]
    return Matched(Part(source, known), unknown, absent)


def held_out(name: str, data: Data, split: str) -> Labelled:
    """Return the val or test images of the data called `name`. Raises UsageError if it has none of that split."""
    parts = {word: part for word, part in (("val", data.val), ("test", data.test)) if part}
    why = next((note for note in data.notes if note.startswith(f"the {split} images are left out")), "")
    return Labelled(data.classes, _part_of(name, parts, split, why), split, data.notes)


def open_other(settings: ImageSettings, split: str, tell: Callable[[str], None] = no_line) -> Labelled:
    """Open data that a run was not trained on: its val or test images, or all where it has no parts.

    It needs no training images, and one class is enough. `tell` takes a line before something that takes long. Raises
    UsageError if it has parts, but not that one.
    """
    root = Path(settings.data)
    is_name = is_named(settings.data, settings.data_dir)
    if not is_name and (packed := find_packed(root, settings.cache_dir, tell)):
        part, which = _which(settings.data, packed.parts, split)
        return _labelled(packed.open(part), packed.folder, part, which)
    if is_manifest(settings.data):
        table = read_manifest(root)
        part, which = _which(settings.data, table.parts, split)
        table = with_files(replace(table, parts={part: table.parts[part]}), root, (part,))
        return _labelled(table, root.parent, part, which)
    if not is_name and root.is_dir() and idx_pair(root, "train") is None:
        found = _open_folder(root, split, runs_dir_of(settings))
        return replace(found, notes=(*about_name(settings.data, settings.data_dir), *found.notes))
    # Nothing is split off, and nothing is limited as it was for training.
    whole = settings.model_copy(update={"val_split": 0.0, "max_per_class": 0, "batch_size": 1})
    data = open_data(whole, 0)
    if not data.val and not data.test:
        return Labelled(data.classes, data.train, ALL, data.notes)
    return held_out(settings.data, data, split)


def _which(data: str, parts: Mapping[PartName, object], split: str) -> tuple[PartName, str]:
    """Return the part to measure on, and what it is called: all images where there are only those without a part."""
    if not parts:
        raise DataError(f"{data} has no images", field="data")
    if parts.keys() <= {"train"}:
        return "train", ALL
    return _part_of(data, {part: part for part in parts if part != "train"}, split), split


def _labelled(found: Found[ImageSource], folder: Path, part: PartName, split: str) -> Labelled:
    if part not in found.parts:
        raise DataError(
            f"no {split} images can be measured: {found.left_out.get(part, 'there are none')}", field="data"
        )
    source = found.parts[part]
    whole = Part(source, range(len(source.labels)))
    return Labelled(readable_names(folder, found.classes), whole, split, found.notes)


def is_held_out_by_us(settings: ImageSettings) -> bool:
    """Return whether the validation images are split off by clfctl: they depend on all images of the data."""
    if is_named(settings.data, settings.data_dir) or is_manifest(settings.data):
        return True  # perhaps; a change in such data should be reported in any case
    try:
        return read_layout(Path(settings.data), runs_dir_of(settings)).val is None
    except (DataError, OSError):
        return True


def _open_folder(root: Path, split: str, runs_dir: Path) -> Labelled:
    layout = read_layout(root, runs_dir)
    top, which = root, ALL
    if layout.is_divided:
        parts = {name: folder for name, folder in (("val", layout.val), ("test", layout.test)) if folder}
        top, which = _part_of(str(root), parts, split), split
    classes, listing, left_out = index_part(top, runs_dir)
    notes = (*layout.notes, *([f"left out: {left_out}"] if left_out else []))
    return Labelled(readable_names(root, classes), _files(listing), which, notes)


def _part_of(data: str, parts: Mapping[str, T], split: str, why: str = "") -> T:
    if split in parts:
        return parts[split]
    others = [name for name in parts if name != "train"]
    hint = f"there are: {', '.join(others)}" if others else "there are only training images"
    raise UsageError(f"{data} has no {split} images", why or hint, field="split")


def _files(listing: Listing) -> Part:
    source = FileImages(listing.paths, listing.labels)
    return Part(source, range(len(listing.labels)))
