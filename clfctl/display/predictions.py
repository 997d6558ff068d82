"""Predictions as text, a piece at a time: a table whose columns are known before the first row, JSON, or CSV.

Of rich only its measure of text: for one image the rest would take longer to import than the prediction takes.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size

from clfctl.inference.prediction import Prediction
from clfctl.storage.json_lines import dump_json
from clfctl.storage.names import on_one_line, written

UNSURE = "unsure"
_GAP = 2
_SHARE_WIDTH = 7  # 100.0 %
_MAX_CLASS, _MIN_IMAGE = 24, 12
_BOLD, _RED, _YELLOW, _RESET = "\x1b[1m", "\x1b[31m", "\x1b[33m", "\x1b[0m"


def record_of(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as JSON has it; `class` is null if none was likely enough."""
    if prediction.error:
        return {"image": prediction.name, "error": prediction.error}
    best, share = prediction.classes[0] if prediction.classes else (None, None)
    return {"image": prediction.name, "class": best, "probability": share, "classes": dict(prediction.classes)}


def json_lines(predictions: Iterable[Prediction]) -> Iterator[str]:
    """Yield a JSON object a line."""
    return (dump_json(record_of(each)) + "\n" for each in predictions)


def json_array(predictions: Iterable[Prediction]) -> Iterator[str]:
    """Yield a JSON array, an object a line."""
    before = "[\n"
    for each in predictions:
        yield f"{before}{dump_json(record_of(each))}"
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def csv_lines(predictions: Iterable[Prediction], n_classes: int) -> Iterator[str]:
    """Yield a table with a header: the class, its probability, those of the next likely, and the error."""
    more = [name for n in range(2, n_classes + 1) for name in (f"class_{n}", f"probability_{n}")]
    yield _csv(["image", "class", "probability", *more, "error"])
    for each in predictions:
        cells = [written(str(cell)) for pair in each.classes for cell in pair]
        yield _csv([written(each.name), *cells, *[""] * (2 * n_classes - len(cells)), each.error])


def _csv(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)  # told that lines end in CR LF it puts both in quotes
    return line.getvalue().removesuffix("\r\n") + "\n"


@dataclass(frozen=True)
class Columns:
    """The widths of a table's columns in cells; of `width` None it is for a file, and nothing is cut."""

    image: int
    class_name: int
    width: int | None


def columns_for(names: Iterable[str], classes: Sequence[str], n_named: int, width: int | None) -> Columns:
    """Return the columns for some first images and all classes, of which a row names `n_named`."""
    class_name = max(cell_len(each) for each in (*classes, UNSURE))
    longest = max((cell_len(each) for each in (*names, "image")), default=0)
    if width is None:
        return Columns(longest, class_name, None)
    class_name = min(class_name, _MAX_CLASS)
    room = width - class_name - _SHARE_WIDTH - 3 * _GAP
    others = (min(n_named, len(classes)) - 1) * (class_name + _SHARE_WIDTH + _GAP)
    # What else it might be gets its place, if the name keeps half of what there is.
    return Columns(min(longest, max(_MIN_IMAGE, room // 2, room - others)), class_name, width)


def table_lines(predictions: Iterable[Prediction], columns: Columns, *, color: bool) -> Iterator[str]:
    """Yield a header and a row for each image: its name, class and share, and what else it might be."""
    yield _painted(_row(columns, "image", "class", "share", "then"), _BOLD, color)
    for each in predictions:
        if each.error:
            yield _painted(_row(columns, each.name, "", "", each.error, is_error=True), _RED, color)
        elif not each.classes:
            yield _painted(_row(columns, each.name, UNSURE, "", ""), _YELLOW, color)
        else:
            (best, share), *others = each.classes
            then = ", ".join(f"{name} {_percent(other)}" for name, other in others)
            yield _row(columns, each.name, best, _percent(share), then)


def _row(columns: Columns, image: str, class_name: str, share: str, rest: str, *, is_error: bool = False) -> str:
    cells = [_fitted(on_one_line(image), columns.image, columns.width, from_left=True)]
    if not is_error:
        cells += [_fitted(on_one_line(class_name), columns.class_name, columns.width), share.rjust(_SHARE_WIDTH)]
    before = (" " * _GAP).join(cells)
    rest = on_one_line(rest)
    if columns.width is not None:
        rest = _cut(rest, max(0, columns.width - cell_len(before) - _GAP))
    return f"{before}{' ' * _GAP}{rest}".rstrip() + "\n"


def _fitted(text: str, size: int, width: int | None, *, from_left: bool = False) -> str:
    """Return a text as wide as its column, cut where the table is for a terminal."""
    if width is None:
        return text + " " * (size - cell_len(text))
    return set_cell_size(_cut(text, size, from_left=from_left), size)


def _cut(text: str, size: int, *, from_left: bool = False) -> str:
    if cell_len(text) <= size:
        return text
    if size <= 1:
        return "…"[:size]
    if not from_left:
        return set_cell_size(text, size - 1).rstrip() + "…"
    while cell_len(text) > size - 1:  # the end of a path tells more than its beginning
        text = text[1:]
    return f"…{text}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _painted(line: str, style: str, color: bool) -> str:
    return f"{style}{line[:-1]}{_RESET}\n" if color else line
