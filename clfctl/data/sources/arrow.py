"""Images in columns of Arrow, as Hugging Face's data sets have them: which column is what, and labels by number."""

import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from clfctl.data.onlookers import no_step
from clfctl.data.pixels.image_file import open_image, read_image
from clfctl.data.sources.columns import COLUMNS
from clfctl.data.sources.found import Found, listed
from clfctl.data.sources.index import sorted_classes
from clfctl.data.sources.parts import PartName
from clfctl.errors import DataError, shortened

# Which column is meant where several are of the same kind.
_IMAGE_NAMES = ("image", "img")
_LABEL_NAMES = ("label", "fine_label", "labels", *COLUMNS["label"])


@dataclass(frozen=True)
class ArrowImages:
    """Images in a pyarrow column of {bytes, path}; image i is in its row `rows[i]`, or in row i without `rows`."""

    title: str
    shards: Sequence[Path]
    column: Any
    labels: Sequence[int]
    rows: Sequence[int] | None = None

    def open(self, index: int) -> Image.Image:
        """Open an image from its bytes, or from its path where there are none."""
        content = self._stored(index)
        return read_image(self._path(index)) if content is None else open_image(content)

    def content(self, index: int) -> bytes:
        """Return the bytes of an image's file. Raises OSError if only its path is stored and it cannot be read."""
        content = self._stored(index)
        return Path(self._path(index)).read_bytes() if content is None else content

    def name(self, index: int) -> str:
        """Return the split, the number, and the file name that was stored with the image."""
        path = self.column[self._row(index)]["path"].as_py()
        return f"{self.title} image {self._row(index)} {shortened(path or '', 200)}".strip()

    def _stored(self, index: int) -> bytes | None:
        content: bytes | None = self.column[self._row(index)]["bytes"].as_py()
        return content

    def _row(self, index: int) -> int:
        return index if self.rows is None else self.rows[index]

    def _path(self, index: int) -> str:
        # A path that is not absolute is one beside the data.
        return str(self.shards[0].parent / (self.column[self._row(index)]["path"].as_py() or ""))


@dataclass(frozen=True)
class Columns:
    """The columns of a table: `label` is None if it has none, `classes` are the names of the numbers in it, if any."""

    image: str
    label: str | None
    classes: tuple[str, ...] | None


@dataclass(frozen=True)
class Split:
    """One split: `images` is its column of images, `labels` (N,) what its column of labels holds, None without one."""

    title: str
    shards: Sequence[Path]
    images: Any
    labels: Sequence[Any] | None
    classes: tuple[str, ...] | None


def choose_columns(schema: Any, features: Mapping[str, Any], name: object, hint: str) -> Columns:
    """Return the columns by the features that `datasets` keeps, or by their types and names where there are none.

    Raises DataError unless exactly one column can be meant by the images, and at most one by the labels.
    """
    types = {each: features[each].get("_type") for each in features if isinstance(features[each], dict)}
    images = [each for each, kind in types.items() if kind == "Image"]
    images = images or [each.name for each in schema if has_images(each)]
    image = _one_of(images, _IMAGE_NAMES)
    has = listed((f"{each.name} ({types.get(each.name) or each.type})" for each in schema), 8)
    if image is None:
        how_many = "more than one column" if images else "no column"
        raise DataError(f"{name} has {how_many} of images: {has}", hint, field="data")
    numbered = [each for each, kind in types.items() if kind == "ClassLabel"]
    labels = numbered or [each.name for each in schema if each.name.lower() in _LABEL_NAMES and _is_plain(each.type)]
    label = _one_of(labels, _LABEL_NAMES)
    if labels and label is None:
        raise DataError(f"{name} has more than one column of labels: {has}", hint, field="data")
    names = features[label].get("names") if label in numbered else None
    return Columns(image, label, tuple(map(str, names)) if names else None)


def has_images(column: Any) -> bool:
    """Return whether a column of a schema holds the bytes of images."""
    import pyarrow as pa

    if pa.types.is_struct(column.type):
        return bool(column.type.get_field_index("bytes") >= 0)
    is_binary = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
    return is_binary and column.name.lower() in (*_IMAGE_NAMES, "bytes", "image_bytes", "content")


def assemble(name: object, splits: Mapping[PartName, Split], hint: str) -> Found[ArrowImages]:
    """Return the images of splits under common labels; a split without labels, other than train, is left out.

    Labels are numbers of classes, or the classes themselves; -1, null and an empty name stand for no label. Raises
    DataError for training images without labels, and for splits that name other classes.
    """
    named = next((each.classes for each in splits.values() if each.classes), None)
    parts, left_out, notes = dict[PartName, ArrowImages](), dict[PartName, str](), list[str]()
    numbers: dict[str, int] = {}
    for part, split in splits.items():
        if split.labels is None:
            left_out[part] = f"{split.title} has no column of labels"
            continue
        if split.classes != named:
            raise DataError(f"{name}: its splits have different classes", hint, field="data")
        labels = array("i", _numbers(split, name, len(named) if named else 0, numbers))
        rows = array("q", (row for row, label in enumerate(labels) if label >= 0))
        if not rows and part != "train":
            left_out[part] = f"none of the {len(labels):,} rows of {split.title} has a label"
        elif len(rows) == len(labels):
            parts[part] = ArrowImages(split.title, split.shards, split.images, labels)
        elif part == "train":
            row = next(row for row, label in enumerate(labels) if label < 0)
            n = len(labels) - len(rows)
            what = f"row {row} has no label" if n == 1 else f"{n:,} rows have no label, the first one is row {row}"
            raise DataError(f"{name}, {split.title}: {what}", "remove the rows without a label", field="data")
        else:
            known = array("i", (labels[row] for row in rows))
            parts[part] = ArrowImages(split.title, split.shards, split.images, known, rows)
            n = len(labels) - len(rows)
            notes.append(f"{n:,} of the {len(labels):,} rows of {split.title} have no label and are left out")
    classes = named or sorted_classes(tuple(numbers))
    if not named:
        _renumber(parts, numbers, classes)
    return Found(classes, parts, tuple(notes), left_out, has_fixed_classes=bool(named))


def _numbers(split: Split, name: object, n_classes: int, numbers: dict[str, int]) -> Sequence[int]:
    """Return the number of each row's class, -1 for none; `numbers` grows by the classes that have no number yet."""
    labels = split.labels or ()
    if not n_classes:
        texts = ("" if each is None or each == -1 else str(each).strip() for each in labels)
        return [numbers.setdefault(text, len(numbers)) if text else -1 for text in texts]
    found = [-1 if each is None else int(each) for each in labels]
    if found and max(found) >= n_classes:
        what = f"{name}, {split.title}: row {found.index(max(found))} has the label {max(found)} of {n_classes} classes"
        raise DataError(what, "labels count from 0", field="data")
    return found


def _renumber(parts: Mapping[PartName, ArrowImages], numbers: Mapping[str, int], classes: Sequence[str]) -> None:
    places = {each: place for place, each in enumerate(classes)}
    place_of = {number: places[each] for each, number in numbers.items()}
    for images in parts.values():
        labels = images.labels
        assert isinstance(labels, array)
        labels[:] = array("i", (place_of[number] for number in labels))


def _one_of(names: Sequence[str], usual: Sequence[str]) -> str | None:
    """Return the usual one of some columns, or the only one."""
    found = next((each for word in usual for each in names if each.lower() == word), None)
    return found or (names[0] if len(names) == 1 else None)


def _is_plain(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


class LateColumn:
    """A column that is made when it is first needed, by whichever thread needs it, or before by `prepare`.

    `n_bytes` is about what will be written for it. `make` is given what is to be told how many images more are ready.
    """

    def __init__(self, make: Callable[[Callable[[int], None]], Any], n_bytes: int) -> None:
        self._make, self._lock, self.n_bytes = make, threading.Lock(), n_bytes
        self._column: Any = None

    def prepare(self, advance: Callable[[int], None]) -> None:
        """Make the column now; `advance` is told how many images more are ready."""
        self._ready(advance)

    def __getitem__(self, index: int) -> Any:
        return self._ready()[index]

    @property
    def chunks(self) -> Any:
        """The chunks of the column, as pyarrow has them."""
        return self._ready().chunks

    def _ready(self, advance: Callable[[int], None] = no_step) -> Any:
        if self._column is None:
            with self._lock:
                if self._column is None:
                    self._column = self._make(advance)
        return self._column
