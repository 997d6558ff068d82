"""A trial as a training or a probe: its run is begun, or gone on with where its folder is there, to its end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clfctl.data.onlookers import Onlookers
from clfctl.engine.check import check_training
from clfctl.engine.session import Session, begin, reopen
from clfctl.engine.watching import Training, Watcher
from clfctl.errors import Interrupted
from clfctl.probing.check import check_probe
from clfctl.probing.run import probe_networks
from clfctl.runs.folder import RunFolder, discard_run
from clfctl.runs.header import read_header
from clfctl.runs.history import EpochResult
from clfctl.settings.groups import ProbeSettings, TrainSettings
from clfctl.settings.sources import PASSED


class PrunedError(Interrupted):
    """A trial is not worth going on with; it is saved, and may be resumed by hand."""


class OutOfTimeError(Interrupted):
    """The time of the study is over; the trial is saved, and goes on when the study does."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run: its epochs, how many validation images judged them, and the seconds that they took."""

    history: Sequence[EpochResult]
    n_val: int

    @property
    def seconds(self) -> float:
        """The time of its epochs."""
        return sum(each.time_s for each in self.history)


class Judge(Watcher):
    """Reports the epochs of a trial; what `judge` raises ends it, after the epoch is saved.

    `judge` gets an epoch and whether it is the last one; those from before the run was gone on with come first.
    """

    is_essential = True

    def __init__(self, judge: Callable[[EpochResult, bool], None], advance: Callable[[int], None]) -> None:
        self._judge, self._advance = judge, advance
        self._epochs = 0

    def start(self, training: Training) -> None:
        """Report the epochs that there are; a trial that was to end at one of them has ended."""
        self._epochs = training.plan.epochs
        for result in training.history:
            self.epoch(result)

    def epoch(self, result: EpochResult) -> None:
        """Report an epoch."""
        self._advance(1)
        self._judge(result, result.epoch >= self._epochs)


def train_run(
    settings: TrainSettings, run: RunFolder, watchers: Sequence[Watcher], to: Onlookers, *, listens: bool
) -> Outcome:
    """Train a run to its end, from where it is if its folder is there. Raises ClfctlError, Interrupted if it stops.

    With `listens` a signal ends it after the running batch, with its state saved.
    """
    if run.config.is_file():
        with reopen(run, {}, PASSED, allow_data_change=False) as session:
            session.keep_changes(to)
            return _trained(session, watchers, to, listens=listens)
    discard_run(run)  # what was killed while it was being made
    data, _ = check_training(settings, to.tell)
    with begin(settings, data, to) as session:
        return _trained(session, watchers, to, listens=listens)


def _trained(session: Session, watchers: Sequence[Watcher], to: Onlookers, *, listens: bool) -> Outcome:
    trainer = session.trainer
    if not trainer.is_finished():
        trainer.signals.listens = listens
        session.train(watchers, to)
    part = trainer.val_loader.part
    return Outcome(tuple(trainer.state.cursor.history), len(part) if part else 0)


def probe_run(settings: ProbeSettings, run: RunFolder, to: Onlookers) -> Outcome:
    """Probe a network as a run, unless its folder is there and whole; features are kept for the next one."""
    if run.config.is_file():
        history = tuple(read_header(run.best).history)
        return Outcome(history, 0)
    discard_run(run)
    data = check_probe(settings, to.tell)
    found = probe_networks(settings, data, to)
    history = tuple(read_header(RunFolder(found.run).best).history)
    return Outcome(history, len(found.best.places))
