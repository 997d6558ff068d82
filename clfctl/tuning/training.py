"""A trial as a training or a probe: its run is begun, or gone on with where its folder is there, to its end."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clfctl.data.onlookers import Onlookers
from clfctl.data.sources.names import is_named
from clfctl.engine.check import check_training
from clfctl.engine.session import Session, begin, reopen
from clfctl.engine.watching import Training, Watcher
from clfctl.errors import CheckpointError, ClfctlError, Interrupted
from clfctl.planning.place import place_of
from clfctl.probing.check import check_probe
from clfctl.probing.run import probe_networks
from clfctl.runs.folder import RunFolder, discard_run
from clfctl.runs.header import last_or_previous, read_header, read_last
from clfctl.runs.history import EpochResult
from clfctl.settings.groups import ProbeSettings, TrainSettings
from clfctl.settings.older import read_older
from clfctl.settings.sources import PASSED
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json
from clfctl.tracking.attach import trackers_for
from clfctl.tuning.space import Value

# What was drawn for the run of a trial: a JSON object in its folder.
DRAWN = "trial.json"
Drawn = Mapping[str, Value]


class PrunedError(Interrupted):
    """A trial is not worth going on with; it is saved, and may be resumed by hand."""


class OutOfTimeError(Interrupted):
    """The time of the study is over; the trial is saved, and goes on when the study does."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run: its epochs, and how many validation images judged them."""

    history: Sequence[EpochResult]
    n_val: int


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
    settings: TrainSettings, drawn: Drawn, run: RunFolder, watchers: Sequence[Watcher], to: Onlookers, *, listens: bool
) -> Outcome:
    """Train a run to its end, from where it is if its folder is there. Raises ClfctlError, Interrupted if it stops.

    With `listens` a signal ends it after the running batch, with its state saved.
    """
    if run.config.is_file():
        _check_drawn(run, drawn)
        with reopen(run, _where_images_are(run, settings), PASSED, allow_data_change=False) as session:
            session.keep_changes(to)
            return _trained(session, watchers, to, listens=listens)
    discard_run(run)  # what was killed while it was being made
    data, _ = check_training(settings, to.tell)
    with begin(settings, data, to) as session:
        write_text(run.path / DRAWN, dump_json({"drawn": {**drawn}}) + "\n")
        return _trained(session, watchers, to, listens=listens)


def _trained(session: Session, watchers: Sequence[Watcher], to: Onlookers, *, listens: bool) -> Outcome:
    trainer = session.trainer
    if not trainer.is_finished():
        trainer.signals.listens = listens
        session.train([*watchers, *trackers_for(session, to.tell)], to)
    part = trainer.val_loader.part
    return Outcome(tuple(trainer.state.cursor.history), len(part) if part else 0)


def _where_images_are(run: RunFolder, settings: TrainSettings) -> dict[str, str]:
    """Return the study's word on where the images are, if those of a run that it has begun are where it does not find.

    A run goes by the folder that it was begun in, which need not be that of its study, and may not have been moved too.
    """
    try:
        header, _ = last_or_previous(run.last, read_last, (OSError, ValueError))
        there = place_of(run, header).here(read_older(header.settings, run.last)[0])
    except (OSError, ValueError, ClfctlError):  # whoever reopens it says what is wrong
        return {}
    is_found = is_named(there.data, there.data_dir) or Path(there.data).exists()
    return {} if is_found or not Path(settings.data).exists() else {"data": settings.data}


def _check_drawn(run: RunFolder, drawn: Drawn) -> int:
    """Return how many images judged a probe, 0 if that is not known.

    Raises CheckpointError if the run in the place of a trial has other settings: those of another trial.
    """
    try:
        noted = json.loads((run.path / DRAWN).read_text(encoding="utf-8"))
        there, n_val = dict(noted["drawn"]), int(noted.get("n_val", 0))
    except (OSError, ValueError, TypeError, KeyError):  # an older study's, or killed when it was just begun
        return 0
    if there != {**drawn}:
        was, now = (", ".join(f"{name} {value}" for name, value in each.items()) for each in (there, drawn))
        hint = f"is it from before {run.path.parent} lost its trials? Move {run.path.name} away, and it is trained anew"
        raise CheckpointError(f"{run.path} was trained with {was}, and the trial has {now}", hint)
    return n_val


def probe_run(settings: ProbeSettings, drawn: Drawn, run: RunFolder, to: Onlookers) -> Outcome:
    """Probe a network as a run, unless its folder is there and whole; features are kept for the next one."""
    if run.config.is_file():
        n_val = _check_drawn(run, drawn)
        return Outcome(tuple(read_header(run.best).history), n_val)
    discard_run(run)
    data = check_probe(settings, to.tell)
    found = probe_networks(settings, data, to)
    history, n_val = tuple(read_header(RunFolder(found.run).best).history), len(found.best.places)
    write_text(Path(found.run) / DRAWN, dump_json({"drawn": {**drawn}, "n_val": n_val}) + "\n")
    return Outcome(history, n_val)
