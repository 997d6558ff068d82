"""Which files of a table do not exist: counted for a million rows in seconds, and by one rule."""

import os
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from clfctl.data.pixels.unreadable import is_too_many
from clfctl.data.sources.index import Paths
from clfctl.errors import DataError, shortened

# Folders with fewer rows are not listed; nor are those with so many more entries than rows.
FEW, MUCH_MORE = 32, 50
HINT = "paths are absolute or relative to the folder of the table"


def check_files(table: Path, parts: Sequence[Sequence[str | Path]]) -> list[str]:
    """Return a sentence about the files of some parts that do not exist, if there are any.

    Raises DataError if they are more than may be bad in training, as `is_too_many` says.
    """
    n, first = 0, ""
    for paths in parts:
        for path in missing(paths):
            n, first = n + 1, first or path
    if not n:
        return []
    n_all = sum(map(len, parts))
    verb = "does" if n == 1 else "do"
    what = f"{n:,} of the {n_all:,} files that {table} lists {verb} not exist"
    if is_too_many(n, n_all) or n == n_all:
        raise DataError(f"{what}, the first one: {shortened(first, 200)}", HINT, field="data")
    return [f"{what} and will be skipped ({shortened(first, 200)})"]


def missing(paths: Sequence[str | Path]) -> Iterator[str]:
    """Yield the paths at which there is nothing, folder by folder.

    Folders are listed where that is cheaper: asking for each of a million files takes minutes on a network disk.
    """
    root, names = (paths.folder, paths.names) if isinstance(paths, Paths) else ("", [os.fspath(each) for each in paths])
    by_folder: dict[str, array[int]] = {}
    for number, name in enumerate(names):
        folder = name[: name.rfind("/") + 1]
        numbers = by_folder.get(folder)
        if numbers is None:
            numbers = by_folder[folder] = array("q")
        numbers.append(number)
    for folder, numbers in by_folder.items():
        present, n = _entries(os.path.join(root, folder), len(numbers)), len(folder)  # strings, as above
        for number in numbers:
            if names[number][n:] not in present:
                # Asked for again where it is not listed: file systems differ in what they take for the same name.
                path = os.path.join(root, names[number])
                if not os.path.exists(path):
                    yield path


def _entries(folder: str, n_rows: int) -> set[str]:
    if n_rows < FEW:
        return set()
    try:
        with os.scandir(folder or ".") as entries:
            return {entry.name for entry in islice(entries, n_rows * MUCH_MORE)}
    except OSError:
        return set()
