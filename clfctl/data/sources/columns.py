"""What the columns of a table of images may be called."""

from collections.abc import Callable, Sequence
from pathlib import Path

from clfctl.data.sources.found import listed
from clfctl.errors import DataError, shortened

# What a column may be called, in any case; the first is the name that is shown.
COLUMNS = {
    "path": ("path", "file", "image", "filename", "filepath", "file_name", "file_path", "image_path"),
    "label": ("label", "class", "category", "target", "class_name"),
    "split": ("split", "subset", "fold"),
    "weight": ("weight", "sample_weight"),
}
# The column that says what belongs together, which the user names.
GROUP = "group"
NEEDED = ("path", "label")
HINT = (
    "its first line names the columns: path and label, and optionally split (train, val, test) and weight (how often an"
    " image is drawn)"
)


def columns_of(path: Path, group_by: str = "") -> Callable[[Sequence[str]], dict[str, int]]:
    """Return a function from the names in the first line of a table to the position of each column.

    `group_by` is the column that says what belongs together, if one does.
    """
    return lambda names: _columns(path, names) | (_group_column(path, names, group_by) if group_by else {})


def _group_column(path: Path, names: Sequence[str], group_by: str) -> dict[str, int]:
    plain = [name.strip() for name in names]
    if group_by not in plain:
        has = listed(plain, 8)
        raise DataError(f"{path} has no column {shortened(repr(group_by))}; it has {has}", field="group_by")
    return {GROUP: plain.index(group_by)}


def _columns(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Return the position of each column. Raises DataError if one is missing or occurs twice."""
    found: dict[str, int] = {}
    plain = [name.strip().lower().replace(" ", "_") for name in names]
    for column, synonyms in COLUMNS.items():
        places = [place for place, name in enumerate(plain) if name in synonyms]
        if len(places) > 1:
            both = " and ".join(shortened(names[place]) for place in places[:2])
            what = f"{path} has two columns that could be the {column}: {both}"
            raise DataError(what, "rename or remove one of them", field="data")
        if places:
            found[column] = places[0]
    if missing := [name for name in NEEDED if name not in found]:
        has = listed((name.strip() for name in names), 8) or "none"
        raise DataError(f"{path} has no column {' and no column '.join(missing)}; it has {has}", HINT, field="data")
    return found
