"""Tables in text: CSV and TSV as spreadsheets and scripts write them, compressed or not, in any usual encoding."""

import bz2
import csv
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from clfctl.errors import DataError, shortened

# How compressed files begin, and what opens them.
_OPENERS: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
UNPACK_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError)
# A spreadsheet of another language separates cells by semicolons, since commas are in its numbers.
_DELIMITERS = (",", "\t", ";", "|")
_MAX_HEADER = 1 << 20


def open_unpacked(path: Path) -> IO[bytes]:
    """Open a file to read its bytes, unpacked if it is compressed (gzip, bzip2, xz), whatever its name says."""
    with path.open("rb") as file:
        head = file.read(6)
    opener = next((each for start, each in _OPENERS.items() if head.startswith(start)), None)
    return cast(IO[bytes], opener(path)) if opener else path.open("rb")


def is_compressed(path: Path) -> bool:
    """Return whether a file is compressed, by how it begins. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return file.read(6).startswith(tuple(_OPENERS))


def text_rows(
    path: Path, columns: Callable[[Sequence[str]], dict[str, int]], hint: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (its line, {column: cell}) for each row of a table; rows of empty cells are skipped.

    `columns` returns the position of each column by the names in the first line, or raises DataError. Bytes that are
    not UTF-8 become surrogates. Raises DataError, with the line, for a table that is malformed.
    """
    number = 0
    try:
        with open_unpacked(path) as raw, _as_text(raw) as file:
            delimiter, number = _delimiter(path, file, columns)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            places = columns(next(reader, []))
            for cells in reader:
                if not any(cells):
                    continue
                where = f"line {reader.line_num + number}"
                if len(cells) <= max(places.values()):
                    n = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
                    raise DataError(f"{path}, {where} has only {n}", field="data")
                yield where, {name: cells[place] for name, place in places.items()}
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + number}: {error}", hint, field="data") from None
    except UnicodeDecodeError as error:
        what = f"{path} is not text in {error.encoding}: {error.reason}"
        raise DataError(what, "save it as CSV in UTF-8", field="data") from None
    except UNPACK_ERRORS as error:
        raise DataError(f"{path} cannot be read: {shortened(error)}", hint, field="data") from None


def _as_text(raw: IO[bytes]) -> io.TextIOWrapper:
    head = raw.read(4)
    raw.seek(0)
    encoding = "utf-8-sig"
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        encoding = "utf-32"
    elif head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif len(head) == 4 and b"\0" in head:  # the same without a mark: names of columns are ASCII
        encoding = "utf-16-le" if head[1] == 0 else "utf-16-be"
    errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
    return io.TextIOWrapper(cast(Any, raw), encoding, errors=errors, newline="")


def _delimiter(
    path: Path, file: io.TextIOWrapper, columns: Callable[[Sequence[str]], dict[str, int]]
) -> tuple[str, int]:
    """Return what separates the cells, and how many lines precede the header; `file` then stands at the header.

    It is the first that gives the columns that are needed, else what the name of the file promises.
    """
    header = file.readline(_MAX_HEADER)
    n_before = 0
    if header.lower().startswith("sep=") and len(header.strip()) == 5:  # Excel's own line
        n_before, delimiter = 1, header[4]
    else:
        usual = "\t" if ".tsv" in [each.lower() for each in path.suffixes[-2:]] else ","
        delimiter = usual
        for each in sorted(_DELIMITERS, key=lambda each: each != usual):
            try:
                columns(next(csv.reader([header], delimiter=each), []))
            except (DataError, csv.Error):
                continue
            delimiter = each
            break
    file.seek(0)
    for _ in range(n_before):
        file.readline()
    return delimiter, n_before
