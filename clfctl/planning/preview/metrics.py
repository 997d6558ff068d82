"""The metrics that a preview assumes: numbers, those of a run, or a column of a table."""

import csv
from collections.abc import Sequence
from pathlib import Path

from clfctl.errors import DataError, UsageError, nearest
from clfctl.runs.folder import open_run
from clfctl.runs.history import check_measured, read_history
from clfctl.runs.windows import recorded_windows
from clfctl.schedules.recorded import Recorded
from clfctl.storage.json_lines import read_json_lines


def read_metrics(text: str, monitor: str) -> Sequence[float]:
    """Return the metric of every epoch: numbers `0.9,0.7`, a run folder, or `FILE.csv:COLUMN`.

    Those of a run have what its batches showed beside them.
    Raises UsageError for what is none of these, DataError for a file without numbers in that column.
    """
    try:
        return tuple(float(each) for each in text.replace(",", " ").split())
    except ValueError:
        pass
    if Path(text).is_dir():
        run = open_run(Path(text))
        history = read_history(read_json_lines(run.history))
        check_measured(history, monitor)
        return Recorded(tuple(result.metric(monitor) for result in history), recorded_windows(run))
    path, _, column = text.partition(":") if not Path(text).exists() else (text, "", "")
    if not Path(path).is_file():
        hint = "give numbers (0.9,0.7,0.7), a run folder, or a file and a column (losses.csv:val_loss)"
        raise UsageError(f"{text!r} is neither numbers nor a file", hint, field="metrics")
    return _read_column(Path(path), column or monitor)


def _read_column(path: Path, column: str) -> tuple[float, ...]:
    if path.suffix == ".jsonl":
        records = [{name: str(value) for name, value in record.items()} for record in read_json_lines(path)]
    else:
        delimiter = "\t" if path.suffix == ".tsv" else ","
        try:
            # Spreadsheets put a byte order mark first.
            with path.open(encoding="utf-8-sig", newline="") as file:
                records = [*csv.DictReader(file, delimiter=delimiter, skipinitialspace=True)]
        except (UnicodeDecodeError, csv.Error) as error:
            reason = str(error) if isinstance(error, csv.Error) else "it is not UTF-8 text"
            raise DataError(f"{path} cannot be read: {reason}", field="metrics") from None
    names = [*records[0]] if records else []
    if column not in names:
        hint = nearest(column, names) or ("it has " + ", ".join(names) if names else "it is empty")
        raise DataError(f"{path} has no column {column!r}", hint, field="metrics")
    try:
        return tuple(float(record[column]) for record in records)
    except (TypeError, ValueError):
        raise DataError(f"the column {column} of {path} holds more than numbers", field="metrics") from None
