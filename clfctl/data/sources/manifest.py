"""A table of images as the data: a CSV, TSV or Parquet file with a path and a class in each row."""

import math
import os
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clfctl.data.sources.base import FileImages
from clfctl.data.sources.columns import GROUP, HINT, columns_of
from clfctl.data.sources.found import Found, check_trainable
from clfctl.data.sources.index import Paths, sorted_classes
from clfctl.data.sources.missing import check_files
from clfctl.data.sources.names import TABLES
from clfctl.data.sources.parquet import parquet_rows
from clfctl.data.sources.parts import PARTS, PartName, part_of
from clfctl.data.sources.text_table import text_rows
from clfctl.data.sources.unpacked import check_is_here
from clfctl.errors import DataError, UsageError, shortened

N_TRIED = 20


@dataclass
class _Rows:
    """The rows of one split as they are read; a label is the number of its class in order of first appearance."""

    names: list[str] = field(default_factory=list)
    labels: "array[int]" = field(default_factory=lambda: array("i"))
    weights: "array[float]" = field(default_factory=lambda: array("d"))
    groups: "array[int]" = field(default_factory=lambda: array("q"))


@dataclass
class _Table:
    """All rows, and the number of each class and of each group."""

    parts: dict[PartName, _Rows] = field(default_factory=lambda: {name: _Rows() for name in PARTS})
    numbers: dict[str, int] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    has_weights: bool = False


def is_manifest(data: str) -> bool:
    """Return whether the data is a table of images, by its name; a folder with such a name is not."""
    return data.lower().endswith(TABLES) and not Path(data).is_dir()


def read_manifest(path: Path, group_by: str = "") -> Found[FileImages]:
    """Return the images that a table lists; their paths are relative to its folder, and none is looked for yet.

    Without a split column every image is of the training part. `group_by` is the column that says what belongs
    together; an image with an empty cell there belongs to nothing else. Classes are sorted: as numbers, if all are.
    Raises UsageError if there is no such file, DataError with the row for one that is malformed.
    """
    if not path.is_file():
        raise UsageError(f"{path} {'is not a file' if path.exists() else 'does not exist'}", HINT, field="data")
    check_is_here(path)
    columns = columns_of(path, group_by)
    rows = parquet_rows(path, columns) if path.suffix.lower() == ".parquet" else text_rows(path, columns, HINT)
    table = _Table()
    for where, row in rows:
        part = table.parts[_split(path, where, row.get("split"))]
        part.names.append(_cell(path, where, row, "path"))
        part.labels.append(table.numbers.setdefault(_cell(path, where, row, "label"), len(table.numbers)))
        part.weights.append(_weight(path, where, row.get("weight")))
        table.has_weights = table.has_weights or "weight" in row
        if group_by:
            part.groups.append(_group(table.groups, row[GROUP]))
    return _found(path, table)


def open_table(path: Path, group_by: str = "") -> Found[FileImages]:
    """Return the images of a table to train on. Raises as `read_manifest` and `with_files`, and if they do not do."""
    found = read_manifest(path, group_by)
    check_trainable(found, path, HINT)
    return with_files(found, path, ("train", "val"))


def with_files(found: Found[FileImages], path: Path, needed: Iterable[PartName]) -> Found[FileImages]:
    """Return a table's images after looking whether their files exist, with a note about those that do not.

    Raises DataError if more of the parts that are `needed` are missing than may be bad in training. Another part of
    which so many are missing is left out.
    """
    needed = set(needed)
    notes = [*found.notes, *check_files(path, [source.paths for part, source in found.parts.items() if part in needed])]
    left_out, parts = dict(found.left_out), dict(found.parts)
    for part in found.parts.keys() - needed:
        try:
            notes += check_files(path, [found.parts[part].paths])
        except DataError as error:
            left_out[part] = error.message
            del parts[part]
    return replace(found, parts=parts, notes=tuple(notes), left_out=left_out)


def _found(path: Path, table: _Table) -> Found[FileImages]:
    folder, notes = str(path.parent), []
    names = [decoded(each) for each in table.numbers]
    if names != list(table.numbers) or any(_is_odd(each) for rows in table.parts.values() for each in rows.names):
        _spell_as_on_disk(folder, table.parts.values())
    if names != list(table.numbers):
        notes.append(f"{path} is not in UTF-8: the names of its classes are read as Windows-1252")
    classes = sorted_classes(tuple(dict.fromkeys(names)))
    place_of = {name: place for place, name in enumerate(classes)}
    places = [place_of[each] for each in names]
    if table.has_weights and (weights := table.parts["train"].weights):
        low, high = min(weights), max(weights)
        notes.append(f"{path} has weights: training images are drawn in proportion to them ({low:g} to {high:g})")
    parts: dict[PartName, FileImages] = {}
    for part, rows in table.parts.items():
        if rows.names:
            labels = array("i", (places[label] for label in rows.labels))
            drawn = rows.weights if table.has_weights else None
            parts[part] = FileImages(Paths(folder, rows.names), labels, drawn, rows.groups or None)
    return Found(classes, parts, tuple(notes))


def decoded(name: str) -> str:
    """Return a name whose bytes are not UTF-8 as Windows-1252 or, where that has no such character, as Latin-1."""
    if name.isascii():
        return name
    content = name.encode("utf-8", "surrogateescape")
    for encoding in ("utf-8", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def _with_slashes(name: str) -> str:
    return name.replace("\\", "/")


# How a path may have to be read to find its file: as it stands, from Windows, and from a table that is not in UTF-8.
_WAYS: tuple[Callable[[str], str], ...] = (str, _with_slashes, decoded, lambda name: decoded(_with_slashes(name)))


def _is_odd(name: str) -> bool:
    return "\\" in name or (not name.isascii() and decoded(name) != name)


def _spell_as_on_disk(folder: str, parts: Iterable[_Rows]) -> None:
    """Write paths with backslashes, or in another encoding, as the first files that exist are spelled."""
    parts = list(parts)
    odd = [name for rows in parts for name in rows.names if _is_odd(name)]
    for way in _WAYS:
        if any(os.path.exists(os.path.join(folder, way(each))) for each in odd[:N_TRIED]):
            break
    else:
        return
    for rows in parts:
        rows.names[:] = [way(each) if _is_odd(each) else each for each in rows.names]


def _cell(path: Path, where: str, row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    text = "" if value is None else str(value).strip()
    if not text:
        raise DataError(f"{path}, {where} has no {column}", HINT, field="data")
    return text


def _group(numbers: dict[str, int], value: Any) -> int:
    """Return the number of a group; that of an image which belongs to nothing else is new."""
    text = "" if value is None else str(value).strip()
    return numbers.setdefault(text or f"\0{len(numbers)}", len(numbers))


def _split(path: Path, where: str, value: Any) -> PartName:
    part = "train" if value is None else part_of(str(value))
    if part is None:
        hint = "use train, val or test; without such a column, `val_split=` chooses the validation images"
        raise DataError(f"{path}, {where}: {shortened(repr(value))} is not a split", hint, field="data")
    return part


def _weight(path: Path, where: str, value: Any) -> float:
    if value is None or value == "":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        what = f"{path}, {where}: {shortened(repr(value))} is not a weight"
        raise DataError(what, "a weight is a number of at least 0", field="data")
    return weight
