"""The answer for every image as a table: Parquet where pyarrow is installed, else CSV, with the same columns."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clfctl.evaluation.outputs import Outputs
from clfctl.storage.files import Piece, explained, replace_file

COLUMNS = ("file", "true", "predicted")
# Before the name of a class, so that one that is called `file` is not a second column of that name.
PREFIX = "p_"
# Rows that are turned into text or a row group at a time; all of ImageNet's validation at once would take a gigabyte.
CHUNK = 4096


def save_predictions(
    folder: Path,
    outputs: Outputs,
    classes: Sequence[str],
    name_of: Callable[[int], str],
    *,
    parquet: bool | None = None,
) -> Path:
    """Write predictions.parquet or predictions.csv into a folder and return its path.

    A row has the image's file, its true and predicted class, and the probability of each class. `name_of` gives the
    file of an image by its number; `parquet` is None for what the installation allows. Raises WriteError.
    """
    if has_pyarrow() if parquet is None else parquet:
        path, pieces = folder / "predictions.parquet", _parquet(outputs, classes, name_of)
    else:
        path, pieces = folder / "predictions.csv", _csv(outputs, classes, name_of)
    with explained(path):
        replace_file(path, pieces)
    return path


def has_pyarrow() -> bool:
    """Return whether Parquet can be written."""
    try:
        import pyarrow  # noqa: F401 (an extra)
    except ModuleNotFoundError:
        return False
    return True


def readable(text: str) -> str:
    """Return a name with bytes that are no UTF-8 as `\\xe9`, so that it can be written anywhere."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _chunks(outputs: Outputs) -> Iterator[slice]:
    for start in range(0, len(outputs.labels), CHUNK):
        yield slice(start, start + CHUNK)


def _names(outputs: Outputs, rows: slice, classes: Sequence[str], name_of: Callable[[int], str]) -> list[list[str]]:
    """Return the first three columns of some rows."""
    numbers = (outputs.labels[rows], outputs.probabilities[rows].argmax(axis=1))
    return [
        [readable(name_of(index)) for index in outputs.indices[rows].tolist()],
        *([classes[i] for i in each.tolist()] for each in numbers),
    ]


def _csv(outputs: Outputs, classes: Sequence[str], name_of: Callable[[int], str]) -> Iterator[Piece]:
    text = io.StringIO()
    # All names in quotes: without an end of line of its own, the writer would not see that one stands in a name.
    writer = csv.writer(text, lineterminator="", quoting=csv.QUOTE_ALL)
    writer.writerow([*COLUMNS, *(PREFIX + name for name in classes)])
    text.write("\n")
    # Nine digits give a float32 back to the bit. One format a row takes half the time of one a number.
    shares = ",%.9g" * len(classes) + "\n"
    for rows in _chunks(outputs):
        names = zip(*_names(outputs, rows, classes, name_of), strict=True)
        for three, row in zip(names, outputs.probabilities[rows].tolist(), strict=True):
            writer.writerow(three)
            text.write(shares % tuple(row))
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


class _Sink(io.RawIOBase):
    """Takes what is written until it is fetched."""

    def __init__(self) -> None:
        self.pieces = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.pieces += data
        return len(data)

    def fetch(self) -> bytes:
        piece = bytes(self.pieces)
        self.pieces.clear()
        return piece


def _parquet(outputs: Outputs, classes: Sequence[str], name_of: Callable[[int], str]) -> Iterator[Piece]:
    import pyarrow
    from pyarrow import parquet

    titles = [*COLUMNS, *(PREFIX + name for name in classes)]
    types = [pyarrow.string()] * len(COLUMNS) + [pyarrow.float32()] * len(classes)
    schema = pyarrow.schema(list(zip(titles, types, strict=True)))
    sink = _Sink()
    with parquet.ParquetWriter(pyarrow.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        for rows in _chunks(outputs):
            names = [pyarrow.array(each, pyarrow.string()) for each in _names(outputs, rows, classes, name_of)]
            shares = [pyarrow.array(each) for each in np.ascontiguousarray(outputs.probabilities[rows].T)]
            writer.write_table(pyarrow.Table.from_arrays([*names, *shares], schema=schema))
            yield sink.fetch()
    yield sink.fetch()
