"""What watches a training for the command line: a live table, a line an epoch, and the plots at its end."""

from collections.abc import Callable

from clfctl.display.epochs import plain_line
from clfctl.display.output import Output
from clfctl.engine.watching import Training, Watcher, may_write
from clfctl.errors import WriteError
from clfctl.runs.folder import RunFolder
from clfctl.runs.history import EpochResult


def watchers_for(output: Output) -> list[Watcher]:
    """Return those who show a training as standard output and the user call for, and draw its plots."""
    return [*_screens(output), Plots(output.note)]


def _screens(output: Output) -> list[Watcher]:
    if output.is_quiet:  # epochs are progress, and no result: not even as JSON
        return []
    if output.as_json or not output.can_redraw:
        return [EpochLines(output)]
    from clfctl.display.live import LiveTable  # rich costs start-up time that lines do not need

    return [LiveTable()]


class EpochLines(Watcher):
    """Prints one line an epoch: of ASCII, for logs, pipes and terminals that cannot move the cursor, or of JSON."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._total_epochs = 0

    def start(self, training: Training) -> None:
        """Remember how many epochs are planned."""
        self._total_epochs = training.plan.epochs

    def epoch(self, result: EpochResult) -> None:
        """Print a finished epoch."""
        self._output.result(json=lambda: [result.as_record()], plain=lambda: [plain_line(result, self._total_epochs)])


class Plots(Watcher):
    """Draws loss, accuracy and learning rate into the run's folder at the end; `tell` gets why, if that fails."""

    _run: RunFolder
    _history: list[EpochResult]

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def start(self, training: Training) -> None:
        """Take the epochs so far."""
        self._run, self._history = training.run, [*training.history]

    def epoch(self, result: EpochResult) -> None:
        """Take a finished epoch."""
        self._history.append(result)

    def end(self, error: BaseException | None) -> None:
        """Draw, unless there is nothing to draw or no time for it."""
        if not self._history or not may_write(error):
            return
        from clfctl.display.plots import save_plots  # matplotlib costs a second, at the end only

        try:
            save_plots(self._history, self._run.plots)
        except (OSError, WriteError) as failure:
            self._tell(f"The plots could not be written: {failure}")
