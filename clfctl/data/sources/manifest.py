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
HINT = "columns: path and label; if you like split (train, val, test) and weight (how often an image is drawn)"


@dataclass
class _Part:
    """The rows of a split as they are read; a label is the number of its class in the order of appearance."""

    names: list[str] = field(default_factory=list)
    labels: "array[int]" = field(default_factory=lambda: array("i"))
    weights: "array[float]" = field(default_factory=lambda: array("d"))


def is_manifest(data: str) -> bool:
    """Return whether `--data` names a table of images; a folder of such a name is none."""
    return data.lower().endswith(TABLES) and not Path(data).expanduser().is_dir()


def read_manifest(path: Path) -> Index:
    """Return the images that a table lists; their paths are relative to its folder.

    Without a split column every image is of the training part. Classes are sorted: as numbers, if all are. Raises
    UsageError if there is no such file, DataError for one that is not as it should be, with the row.
    """
    parts, found, has_weights = _read(path)
    return _index(path, parts, found, has_weights)


def read_parts(path: Path) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """Return the classes and the images of each split that a table has rows of, to measure a model on.

    One class may be enough, and no split is needed. Raises as `read_manifest` does.
    """
    parts, found, _ = _read(path)
    classes = sorted_classes(tuple(found))
    if not classes:
        raise DataError(f"--data: {path} lists no images", HINT)
    places = [classes.index(each) for each in found]
    listings = {name: _listing(path, part, places) for name, part in parts.items() if part.names}
    for listing in listings.values():
        _check_folder(path, listing.paths[:N_LOOKED_FOR])
    return classes, listings


def _read(path: Path) -> tuple[dict[str, _Part], Sequence[str], bool]:
    """Return the rows of each split, the classes in the order of appearance, and whether there are weights."""
    if not path.is_file():
        raise UsageError(f"--data: {path} {'is no file' if path.exists() else 'does not exist'}", HINT)
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _text_rows(path)
    numbers: dict[str, int] = {}
    parts = {name: _Part() for name in ("train", "val", "test")}
    has_weights = False
    for where, row in rows:
        part = parts[_split(path, where, row.get("split"))]
        part.names.append(_cell(path, where, row, "path"))
        part.labels.append(numbers.setdefault(_cell(path, where, row, "label"), len(numbers)))
        part.weights.append(_weight(path, where, row.get("weight")))
        has_weights = has_weights or "weight" in row
    return parts, tuple(numbers), has_weights


def _index(path: Path, parts: Mapping[str, _Part], found: Sequence[str], has_weights: bool) -> Index:
    """Return the parts with classes in their order; the labels of the parts are numbers of `found`."""
    classes = sorted_classes(found)
    if not parts["train"].names:
        raise DataError(f"--data: {path} lists no training images", HINT)
    if len(classes) < 2:
        raise DataError(f"--data: {path} has one class only ({classes[0]})", "a classifier needs two or more")
    place_of = {name: place for place, name in enumerate(classes)}
    places = [place_of[each] for each in found]
    in_training = set(parts["train"].labels)
    if missing := [name for number, name in enumerate(found) if number not in in_training]:
        raise DataError(f"--data: {path} has no training images of {', '.join(sorted(missing)[:5])}")

    train, val, test = (_listing(path, each, places, has_weights) if each.names else None for each in parts.values())
    assert train is not None
    _check_folder(path, train.paths[:N_LOOKED_FOR])
    return Index(classes, train, val, test)


def _listing(path: Path, part: _Part, places: Sequence[int], has_weights: bool = False) -> Listing:
    labels = array("i", (places[label] for label in part.labels))
    return Listing(Paths(str(path.parent), part.names), labels, part.weights if has_weights else None)


def _check_folder(path: Path, first: Sequence[str]) -> None:
    """Raise DataError if none of the first images is there: a single one may be missing, all are in another folder."""
    if not any(Path(each).is_file() for each in first):
        hint = "paths are relative to the folder of the table, or absolute"
        raise DataError(f"--data: {path} lists {first[0]}, which does not exist", hint)


def _columns(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Return where each column is. Raises DataError if one is missing or there twice."""
    found: dict[str, int] = {}
    plain = [name.strip().lower().replace(" ", "_") for name in names]
    for column, synonyms in COLUMNS.items():
        places = [place for place, name in enumerate(plain) if name in synonyms]
        if len(places) > 1:
            both = " and ".join(names[place] for place in places[:2])
            raise DataError(f"--data: {path} has two columns for the {column}: {both}", "rename or remove one")
        if places:
            found[column] = places[0]
    if missing := [name for name in NEEDED if name not in found]:
        has = ", ".join(name.strip() for name in names[:8])
        raise DataError(f"--data: {path} has no column {' and no column '.join(missing)}; it has {has}", HINT)
    return found


def _text_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where it stands, {column: cell}) of each row of a CSV or TSV file; empty lines are left out."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            places = _columns(path, next(reader, []))
            for cells in reader:
                if cells:
                    where = f"line {reader.line_num}"
                    if len(cells) <= max(places.values()):
                        raise DataError(f"--data: {path}, {where} has {len(cells)} cells only")
                    yield where, {name: cells[place] for name, place in places.items()}
    except csv.Error as error:
        raise DataError(f"--data: {path}, line {reader.line_num}: {error}", HINT) from None


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        raise DataError(f"--data: {path} needs the package pyarrow", "pip install 'clfctl[parquet]'") from None
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
        raise DataError(f"--data: {path} cannot be read: {str(error).splitlines()[0]}") from None


def _cell(path: Path, where: str, row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    text = "" if value is None else str(value).strip()
    if not text:
        raise DataError(f"--data: {path}, {where} has no {column}", HINT)
    return text


def _split(path: Path, where: str, value: Any) -> str:
    text = "train" if value is None else str(value).strip().lower()
    if text not in SPLITS:
        hint = "a split is train, val or test; leave the column out to have validation images chosen by --val-split"
        raise DataError(f"--data: {path}, {where}: {text!r} is no split", hint)
    return SPLITS[text]


def _weight(path: Path, where: str, value: Any) -> float:
    if value is None or value == "":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise DataError(f"--data: {path}, {where}: {value!r} is no weight", "a weight is a number that is at least 0")
    return weight
