"""CSV files: `track/epochs.csv` and `track/batches.csv`, for whoever needs no library."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from clfctl.storage.files import append_line, write_text
from clfctl.tracking.backend import BATCH, TRACK, Ending, Final, Item, Subject

FILES = {"epochs.csv": "epoch", "batches.csv": "batches"}
CONFUSION = "confusion.csv"


class CsvFiles:
    """Appends rows; a file is written anew where a value is new, or half a row was left."""

    def open(self, subject: Subject) -> Mapping[str, int]:
        """Read the rows that are there."""
        self._folder = subject.run.path / TRACK
        self._folder.mkdir(exist_ok=True)
        self._tables = {name: _Table(self._folder / name, step) for name, step in FILES.items()}
        return {title: last for table in self._tables.values() for title, last in table.last().items()}

    def write(self, items: Sequence[Item]) -> None:
        """Add a row an item."""
        for item in items:
            is_batch = next(iter(item.values)).startswith(BATCH)
            self._tables["batches.csv" if is_batch else "epochs.csv"].add(item)

    def show(self, final: Final, numbers: Item) -> None:
        """Write the confusion matrix, a row a true class, and add the numbers to the last epoch's row."""
        rows = [["true", *final.classes]]
        rows += [[name, *map(str, row)] for name, row in zip(final.classes, final.confusion.tolist(), strict=True)]
        write_text(self._folder / CONFUSION, _text(rows))
        self.write([numbers])

    def close(self, ending: Ending) -> None:
        """Nothing is open."""


class _Table:
    """A file with a row a step; the titles are those of all values so far."""

    def __init__(self, path: Path, step: str) -> None:
        self.path, self.step = path, step
        self.titles, self.rows = [step], list[dict[str, str]]()
        if not path.is_file():
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        whole = text[: text.rfind("\n") + 1]  # half a row is none
        for row in csv.DictReader(io.StringIO(whole)):
            if row.get(step, "").isdecimal() and None not in row.values():
                self.rows.append(row)
        self.titles = [*self.rows[0]] if self.rows else [step]
        if whole != text:
            self._write()

    def last(self) -> dict[str, int]:
        """Return the last step that each value has."""
        return {title: int(row[self.step]) for row in self.rows for title in self.titles[1:] if row[title]}

    def add(self, item: Item) -> None:
        row = {self.step: str(item.step), **{name: repr(value) for name, value in item.values.items()}}
        # A row of which the process wrote a part before it was killed, or that lacked a value.
        if self.rows and self.rows[-1][self.step] == row[self.step]:
            row = {**{title: text for title, text in self.rows.pop().items() if text}, **row}
            self.titles += [name for name in row if name not in self.titles]
            self.rows.append({title: row.get(title, "") for title in self.titles})
            self._write()
            return
        new = [name for name in row if name not in self.titles]
        self.titles += new
        self.rows.append({title: row.get(title, "") for title in self.titles})
        if new:
            self._write()
        else:
            append_line(self.path, _text([[self.rows[-1][title] for title in self.titles]]).removesuffix("\n"))

    def _write(self) -> None:
        rows = [[row.get(title, "") for title in self.titles] for row in self.rows]
        self.rows = [dict(zip(self.titles, row, strict=True)) for row in rows]
        write_text(self.path, _text([self.titles, *rows]))


def _text(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
