"""A table of images as the data: a CSV, TSV or Parquet file with a path and a class in each row."""

import csv
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clfctl.data.sources.index import Index, Listing, Paths, sorted_classes
from clfctl.data.sources.names import TABLES
from clfctl.errors import DataError, UsageError

# What a column may be called, in any case; the first is the name that is shown.
COLUMNS = {
    "path": ("path", "file", "image", "filename", "filepath", "file_name", "file_path", "image_path"),
    "label": ("label", "class", "category", "target", "class_name"),
    "split": ("split", "subset", "fold"),
    "weight": ("weight", "sample_weight"),
}
NEEDED = ("path", "label")
SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
N_LOOKED_FOR = 20
HINT = (
    "its columns are path and label, and optionally split (train, val, test) and weight (how often an image is drawn)"
)


@dataclass
class _Rows:
    """The rows of one split as they are read; a label is the number of its class in order of first appearance."""

    names: list[str] = field(default_factory=list)
    labels: "array[int]" = field(default_factory=lambda: array("i"))
    weights: "array[float]" = field(default_factory=lambda: array("d"))


def is_manifest(data: str) -> bool:
    """Return whether the data is a table of images, by its name; a folder with such a name is not."""
    return data.lower().endswith(TABLES) and not Path(data).expanduser().is_dir()


def read_manifest(path: Path) -> Index:
    """Return the images that a table lists; their paths are relative to its folder.

    Without a split column every image is of the training part. Classes are sorted: as numbers, if all are. Raises
    UsageError if there is no such file, DataError with the row for one that is malformed.
    """
    parts, found, has_weights = _read(path)
    return _index(path, parts, found, has_weights)


def read_parts(path: Path) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """Return the classes, and the images of each split that occurs in a table, to measure a model on.

    A single class is enough, and no split is needed. Raises as `read_manifest` does.
    """
    parts, found, _ = _read(path)
    classes = sorted_classes(tuple(found))
    if not classes:
        raise DataError(f"{path} lists no images", HINT, field="data")
    places = [classes.index(each) for each in found]
    listings = {name: _listing(path, part, places) for name, part in parts.items() if part.names}
    for listing in listings.values():
        _check_folder(path, listing.paths[:N_LOOKED_FOR])
    return classes, listings


def _read(path: Path) -> tuple[dict[str, _Rows], Sequence[str], bool]:
    """Return the rows of each split, the classes in order of first appearance, and whether there are weights."""
    if not path.is_file():
        raise UsageError(f"{path} {'is not a file' if path.exists() else 'does not exist'}", HINT, field="data")
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _text_rows(path)
    numbers: dict[str, int] = {}
    parts = {name: _Rows() for name in ("train", "val", "test")}
    has_weights = False
    for where, row in rows:
        part = parts[_split(path, where, row.get("split"))]
        part.names.append(_cell(path, where, row, "path"))
        part.labels.append(numbers.setdefault(_cell(path, where, row, "label"), len(numbers)))
        part.weights.append(_weight(path, where, row.get("weight")))
        has_weights = has_weights or "weight" in row
    return parts, tuple(numbers), has_weights


def _index(path: Path, parts: Mapping[str, _Rows], found: Sequence[str], has_weights: bool) -> Index:
    """Return the parts with the classes sorted; the labels of the rows are positions in `found`."""
    classes = sorted_classes(found)
    if not parts["train"].names:
        raise DataError(f"{path} lists no training images", HINT, field="data")
    if len(classes) < 2:
        raise DataError(f"{path} has only one class ({classes[0]})", "a classifier needs two or more", field="data")
    place_of = {name: place for place, name in enumerate(classes)}
    places = [place_of[each] for each in found]
    in_training = set(parts["train"].labels)
    if missing := [name for number, name in enumerate(found) if number not in in_training]:
        raise DataError(f"{path} has no training images of {', '.join(sorted(missing)[:5])}", field="data")

    train, val, test = (_listing(path, each, places, has_weights) if each.names else None for each in parts.values())
    assert train is not None
    _check_folder(path, train.paths[:N_LOOKED_FOR])
    return Index(classes, train, val, test)


def _listing(path: Path, part: _Rows, places: Sequence[int], has_weights: bool = False) -> Listing:
    labels = array("i", (places[label] for label in part.labels))
    return Listing(Paths(str(path.parent), part.names), labels, part.weights if has_weights else None)


def _check_folder(path: Path, first: Sequence[str]) -> None:
    """Raise DataError if none of the first images exists: one may be missing, but not all."""
    if not any(Path(each).is_file() for each in first):
        hint = "paths are absolute or relative to the folder of the table"
        raise DataError(f"{path} lists {first[0]}, which does not exist", hint, field="data")


def _columns(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Return the position of each column. Raises DataError if one is missing or occurs twice."""
    found: dict[str, int] = {}
    plain = [name.strip().lower().replace(" ", "_") for name in names]
    for column, synonyms in COLUMNS.items():
        places = [place for place, name in enumerate(plain) if name in synonyms]
        if len(places) > 1:
            both = " and ".join(names[place] for place in places[:2])
            raise DataError(
                f"{path} has two columns that could be the {column}: {both}",
                "rename or remove one of them",
                field="data",
            )
        if places:
            found[column] = places[0]
    if missing := [name for name in NEEDED if name not in found]:
        has = ", ".join(name.strip() for name in names[:8])
        raise DataError(f"{path} has no column {' and no column '.join(missing)}; it has {has}", HINT, field="data")
    return found


def _text_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (its line, {column: cell}) for each row of a CSV or TSV file; empty lines are skipped."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            places = _columns(path, next(reader, []))
            for cells in reader:
                if cells:
                    where = f"line {reader.line_num}"
                    if len(cells) <= max(places.values()):
                        raise DataError(f"{path}, {where} has only {len(cells)} cells", field="data")
                    yield where, {name: cells[place] for name, place in places.items()}
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}", HINT, field="data") from None


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        raise DataError(f"{path} needs the package pyarrow", "pip install 'clfctl[parquet]'", field="data") from None
    try:
        file = parquet.ParquetFile(path)
        names = file.schema_arrow.names
        places = _columns(path, names)
        number = 0
        for batch in file.iter_batches(columns=[names[place] for place in places.values()]):
            columns = [batch.column(names[place]).to_pylist() for place in places.values()]
            for cells in zip(*columns, strict=True):
                number += 1
                yield f"row {number}", dict(zip(places, cells, strict=True))
    except ArrowException as error:
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}", field="data") from None


def _cell(path: Path, where: str, row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    text = "" if value is None else str(value).strip()
    if not text:
        raise DataError(f"{path}, {where} has no {column}", HINT, field="data")
    return text


def _split(path: Path, where: str, value: Any) -> str:
    text = "train" if value is None else str(value).strip().lower()
    if text not in SPLITS:
        hint = "use train, val or test; without such a column, `val_split=` chooses the validation images"
        raise DataError(f"{path}, {where}: {text!r} is not a split", hint, field="data")
    return SPLITS[text]


def _weight(path: Path, where: str, value: Any) -> float:
    if value is None or value == "":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise DataError(
            f"{path}, {where}: {value!r} is not a weight", "a weight is a number of at least 0", field="data"
        )
    return weight
