"""What a run says of its past: its settings and its epochs, from the checkpoint or from what is newer. No torch."""

import math
from dataclasses import dataclass

from clfctl.errors import UsageError
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import Header, last_or_previous, read_last
from clfctl.runs.history import EpochResult, check_measured, read_history
from clfctl.runs.windows import recorded_windows
from clfctl.schedules.recorded import Recorded
from clfctl.settings.groups import TrainSettings
from clfctl.settings.older import read_older, read_older_config
from clfctl.storage.json_lines import read_json_lines


@dataclass(frozen=True)
class RunHistory:
    """The settings and the finished epochs of a run; `header` is that of its last checkpoint, None if unreadable.

    `notes` are sentences about settings that another version of clfctl wrote.
    """

    run: RunFolder
    settings: TrainSettings
    history: list[EpochResult]
    header: Header | None
    notes: tuple[str, ...]

    @property
    def n_batches(self) -> int | None:
        """The batches of an epoch, None if that is not known."""
        return self.header.going_on().position.n_batches if self.header else None

    @property
    def position(self) -> float:
        """How many epochs are trained."""
        saved, n_epochs = self.header.going_on().position if self.header else None, len(self.history)
        return saved.t if saved and saved.epoch == n_epochs and saved.batch else float(n_epochs)

    @property
    def last_lr(self) -> float:
        """The learning rate of the latest step, 0 if there was none."""
        if self.header and self.position > len(self.history):
            return self.header.going_on().lr
        return self.history[-1].lr if self.history else 0.0

    def metrics(self, monitor: str) -> Recorded:
        """Return a metric of every epoch, and what batches showed. Raises UsageError if the run does not have it."""
        if monitor != self.settings.monitor:
            check_measured(self.history, monitor)
            if self.history and all(math.isnan(result.metric(monitor)) for result in self.history):
                hint = "it has no validation images, or too few classes for it; `clfctl resume` refuses it too"
                raise UsageError(f"no epoch of {self.run.path} has a {monitor}", hint, field="monitor")
        return Recorded(tuple(result.metric(monitor) for result in self.history), recorded_windows(self.run))


def run_history(run: RunFolder) -> RunHistory:
    """Return what a run says of its past. Raises CheckpointError for settings that cannot be used."""
    header = _header_of(run)
    settings, notes = read_older(header.settings, run.last) if header else read_older_config(run.config)
    # A run that is not saved at every epoch has a history that is newer than its checkpoint.
    history = max(read_history(read_json_lines(run.history), run.history), header.history if header else [], key=len)
    return RunHistory(run, settings, list(history), header, notes)


def _header_of(run: RunFolder) -> Header | None:
    """Return what the last checkpoint says, or its predecessor; None if neither can be read: its plan still can."""
    try:
        return last_or_previous(run.last, read_last, (OSError, ValueError))[0]
    except (OSError, ValueError):
        return None
