"""What windows of batches showed, on disk: in the checkpoint of a run, and in a file to read. No torch."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from clfctl.runs.folder import RunFolder
from clfctl.schedules.recorded import Window
from clfctl.storage.json_lines import read_json_lines
from clfctl.storage.tensor_file import read_numbers

WINDOWS = "windows"
"""The tensor of a checkpoint that holds them, (number, fields of a window) float64."""
NAMES = {"n": "batches", "norm": "gradient_norm"}


def window_of(values: Sequence[float]) -> Window:
    """Return the window whose numbers these are. Raises ValueError or TypeError if they are none."""
    start, end, n, *others = map(float, values)
    return Window(start, end, int(n), *others)


def as_record(window: Window) -> dict[str, Any]:
    """Return a window as a line of the file."""
    return {NAMES.get(name, name): value for name, value in window._asdict().items()}


def from_record(record: Mapping[str, Any]) -> Window:
    """Return the window of a line, where numbers may be words. Raises KeyError, ValueError or TypeError."""
    return window_of([float(record[NAMES.get(name, name)]) for name in Window._fields])


def recorded_windows(run: RunFolder) -> tuple[Window, ...]:
    """Return the windows of a run: those of its checkpoint or of its file, whichever are more; none of an older run."""
    saved, written = list[Window](), list[Window]()
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, OverflowError):
        numbers, size = read_numbers(run.last, WINDOWS), len(Window._fields)
        saved = [window_of(numbers[i : i + size]) for i in range(0, len(numbers), size)]
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, OverflowError):
        written = [from_record(each) for each in read_json_lines(run.windows)]
    return tuple(saved if len(saved) > len(written) else written)
