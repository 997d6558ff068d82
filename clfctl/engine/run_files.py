"""The files of a run that are written by watching its training: history, windows of batches and bad images."""

from collections.abc import Callable, Mapping, Sequence

from clfctl.engine.watching import Training, Watcher, may_write
from clfctl.runs.folder import RunFolder
from clfctl.runs.history import EpochResult
from clfctl.runs.windows import as_record
from clfctl.schedules.recorded import Window
from clfctl.storage.files import append_line
from clfctl.storage.json_lines import append_json_line, dump_json, write_json_lines
from clfctl.storage.names import plain


class HistoryFile(Watcher):
    """Keeps history.jsonl: a line an epoch. Where it cannot be written, training ends: the run would have a gap."""

    is_essential = True
    _run: RunFolder

    def start(self, training: Training) -> None:
        """Write the epochs so far: a line that is newer than the checkpoint is of an epoch that is still to come."""
        self._run = training.run
        write_json_lines(self._run.history, (result.as_record() for result in training.history))

    def epoch(self, result: EpochResult) -> None:
        """Add a line."""
        append_json_line(self._run.history, result.as_record())


class WindowsFile(Watcher):
    """Keeps windows.jsonl, for previews: a line for each window of batches. The checkpoint has them too."""

    _run: RunFolder
    _windows: Sequence[Window]
    _n_written: int

    def start(self, training: Training) -> None:
        """Write the windows so far."""
        self._run, self._windows, self._n_written = training.run, training.windows, len(training.windows)
        if self._windows or self._run.windows.exists():
            write_json_lines(self._run.windows, map(as_record, self._windows))

    def epoch(self, result: EpochResult) -> None:  # noqa: ARG002 (which one does not matter)
        """Add those of the epoch."""
        self._add()

    def end(self, error: BaseException | None) -> None:
        """Add those of an epoch that is not finished."""
        if may_write(error):
            self._add()

    def _add(self) -> None:
        new, self._n_written = self._windows[self._n_written :], len(self._windows)
        if new:
            append_line(self._run.windows, "\n".join(dump_json(as_record(each)) for each in new))


class BadImagesFile(Watcher):
    """Writes bad_images.jsonl at the end, if there were any; `tell` gets a sentence about them."""

    _run: RunFolder
    _found: Mapping[str, str]

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def start(self, training: Training) -> None:
        """Remember where the names of bad images are gathered."""
        self._run, self._found = training.run, training.bad_images

    def end(self, error: BaseException | None) -> None:
        """Write the names and reasons, in the order of the names."""
        if not self._found or not may_write(error):
            return
        records = ({"image": name, "reason": reason} for name, reason in sorted(self._found.items()))
        write_json_lines(self._run.bad_images, records)
        first = [*self._found][:3]
        more = f" and {len(self._found) - len(first)} more" if len(self._found) > len(first) else ""
        names = plain(", ".join(first))
        self._tell(f"Bad images skipped: {len(self._found)} ({names}{more}); see {self._run.bad_images}")
