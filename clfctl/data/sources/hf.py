"""Hugging Face data sets written by `save_to_disk`: Arrow files with a column of images and one of classes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clfctl.data.sources.arrow import ArrowImages, Split, assemble, choose_columns
from clfctl.data.sources.found import Found, listed
from clfctl.data.sources.parts import PartName, part_of
from clfctl.errors import DataError, shortened

HINT = "it should be written by save_to_disk of the package datasets, with an Image column and a ClassLabel column"


def is_on_disk(root: Path) -> bool:
    """Return whether a folder was written by `save_to_disk`."""
    return (root / "dataset_dict.json").is_file() or (root / "state.json").is_file()


def splits_on_disk(root: Path) -> tuple[dict[PartName, Sequence[Path]], list[str]]:
    """Return the folder of each part of a data set, and the splits that are of no part, or of one that is there.

    A data set without splits is of the training part. Raises DataError if its list of splits cannot be read.
    """
    if not (root / "dataset_dict.json").is_file():
        return {"train": [root]}, []
    try:
        names = [str(each) for each in _json(root / "dataset_dict.json")["splits"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(root, error) from None
    parts: dict[PartName, Sequence[Path]] = {}
    others = []
    for name in names:
        part = part_of(name)
        if part and part not in parts:
            parts[part] = [root / name]
        else:
            others.append(name)
    if not parts:
        raise DataError(f"{root} has no split called train, validation or test: {listed(others)}", HINT, field="data")
    return parts, others


def index_on_disk(root: Path, parts: Mapping[PartName, Sequence[Path]]) -> Found[ArrowImages]:
    """Map the files of some parts into memory. Raises DataError if they cannot be read or have no images or classes."""
    try:
        import pyarrow as pa  # an extra
    except ModuleNotFoundError:
        raise DataError(f"{root} needs the package pyarrow", "pip install 'clfctl[hf]'", field="data") from None
    try:
        splits = {part: _open(folders[0]) for part, folders in parts.items()}
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise _unreadable(root, error) from None
    return assemble(root, splits, HINT)


def _open(folder: Path) -> Split:
    import pyarrow as pa

    state = _json(folder / "state.json")
    if state.get("_indices_files") or state.get("_indices_data_files"):
        what = f"{folder} was saved as a selection of rows"
        raise DataError(what, "save it again with a newer version of datasets", field="data")
    features = _json(folder / "dataset_info.json").get("features") or {}
    shards = [folder / each["filename"] for each in state["_data_files"]]
    tables = [pa.ipc.open_stream(pa.memory_map(str(path))).read_all() for path in shards]
    columns = choose_columns(tables[0].schema, features, folder, HINT)
    wanted = [columns.image, *([columns.label] if columns.label else [])]
    table = pa.concat_tables(each.select(wanted) for each in tables)
    labels = table.column(columns.label).to_pylist() if columns.label else None
    return Split(folder.name, shards, table.column(columns.image), labels, columns.classes)


def _unreadable(root: Path, error: Exception) -> DataError:
    reason = f"{type(error).__name__} {shortened(error, 200)}"
    return DataError(f"{root} cannot be read as a data set saved to disk: {reason}", HINT, field="data")


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
