"""Runs as their files tell of them, and which settings are not the same in all. No torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clfctl.errors import CheckpointError, UsageError
from clfctl.runs.best import criterion_of, kept_of
from clfctl.runs.ensemble import find_ensembles, is_ensemble, read_ensemble
from clfctl.runs.folder import ONNX_SUFFIX, RunFolder, open_run
from clfctl.runs.header import last_or_previous, read_last
from clfctl.runs.history import EpochResult, read_history
from clfctl.settings.ensembles import IN_WORDS
from clfctl.settings.groups import TrainSettings
from clfctl.settings.older import read_older
from clfctl.settings.words import value_in_words
from clfctl.storage.files import reason_of
from clfctl.storage.json_lines import read_json_lines

# A curve has a letter to be told by, and there are so many.
MOST = 26
# Where a run lies is not what it is made of.
NOT_COMPARED = ("runs_dir", "run_name")
NO_SETTING = "–"  # of an ensemble
# What else a result may depend on, of environment.json.
MACHINE = ("device", "clfctl", "first_weights")


@dataclass(frozen=True)
class Entry:
    """A run that is compared, as its files tell, or an ensemble, which has no settings and no epochs.

    `path` is what was named, the run's folder or a checkpoint in it. `epochs` are finished, `history` has a record of
    each; `best` is the one whose weights are kept, by `best_metric`. `made_with` is of environment.json.
    """

    path: Path
    run: RunFolder
    model: str
    settings: TrainSettings | None
    history: Sequence[EpochResult]
    best: EpochResult | None
    best_metric: str
    planned_epochs: int
    made_with: Mapping[str, Any]

    @property
    def epochs(self) -> int:
        """How many epochs are finished."""
        return len(self.history)

    @property
    def about(self) -> str:
        """What it is, and how far it was trained."""
        if self.settings is None:
            return self.model
        best = f", best epoch {self.best.epoch}" if self.best else ""
        return f"{self.model}, {self.epochs} of {self.planned_epochs} epochs{best}"

    @property
    def shown_epoch(self) -> EpochResult | None:
        """The epoch whose metrics stand for the run: the best, or the last where none is."""
        return self.best or (self.history[-1] if self.history else None)


@dataclass(frozen=True)
class Difference:
    """A setting that is not the same in all runs, by its field's name, with the value of each, in their order."""

    name: str
    values: tuple[Any, ...]
    is_setting: bool = True

    def words(self) -> list[str]:
        """Return the values as they are typed."""
        return [value_in_words(each) for each in self.values]


def read_entries(paths: Sequence[Path]) -> list[Entry]:
    """Return the runs at these paths. Raises UsageError for fewer than two, too many, or one that is named twice."""
    if not 2 <= len(paths) <= MOST:
        what = f"{len(paths)} run{'' if len(paths) == 1 else 's'} to compare"
        raise UsageError(f"{what}; it must be 2 to {MOST}", "`clfctl runs` lists all that there are")
    seen: dict[Path, Path] = {}
    for path in paths:
        place = path.resolve()
        if place in seen:
            hint = "name another run, or a checkpoint (.safetensors) of the same one"
            raise UsageError(f"{path} is named twice", hint)
        seen[place] = path
    return [read_entry(path) for path in paths]


def read_entry(path: Path) -> Entry:
    """Return a run as its files tell of it. Raises UsageError if there is none, CheckpointError if it is damaged."""
    if is_ensemble(path):
        ensemble = read_ensemble(path)
        model = f"{IN_WORDS[ensemble.rule]} of {', '.join(each.name for each in ensemble.members)}"
        return Entry(path, RunFolder(path), model, None, [], None, "", 0, {})
    if path.suffix == ONNX_SUFFIX and path.is_file():
        raise UsageError(f"{path} can only be asked: runs and checkpoints are compared", "name its run", field="runs")
    run = open_run(path, find_ensembles)
    try:
        header, _ = last_or_previous(run.last, read_last, (OSError, ValueError))
    except (OSError, ValueError) as both:
        error = both.__cause__ or both  # that of the last one, not of its predecessor
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise CheckpointError(f"{run.last} cannot be read: {reason}", "leave the run out") from None
    settings, _ = read_older(header.settings, run.last)
    history = list(header.history)
    # Of a run that is training, epochs since the last save are in the history only.
    written = [each for each in read_history(read_json_lines(run.history), run.history) if each.metrics]
    history = written if len(written) > len(history) else history
    metric = criterion_of(settings.keep_best, settings.monitor, history).metric
    planned = header.going_on().last_epoch
    return Entry(path, run, header.model, settings, history, kept_of(history), metric, planned, _made_with(run))


def names_of(entries: Sequence[Entry]) -> list[str]:
    """Return a name of each run that no other has: that of its folder, with as much before it as that takes."""
    paths = [each.path if each.path.is_file() else each.run.path for each in entries]
    wholes = [path.resolve() for path in paths]
    for n in range(1, max(len(whole.parts) for whole in wholes)):
        short = [Path(*whole.parts[-n:]) for whole in wholes]
        if len({*short}) == len(short):
            return [str(each) for each in short]
    return [str(each) for each in paths]


def differences(entries: Sequence[Entry]) -> list[Difference]:
    """Return every setting that is not the same in all runs, in the order of the help, then what else they had."""
    found = []
    for name in TrainSettings.model_fields:
        values = [getattr(each.settings, name) for each in entries if each.settings]
        if name not in NOT_COMPARED and any(each != values[0] for each in values):
            found.append(Difference(name, _of_all(entries, values)))
    for name in MACHINE:
        values = [each.made_with.get(name) for each in entries if each.settings]
        if any(each != values[0] for each in values):
            found.append(Difference(name, _of_all(entries, values), is_setting=False))
    return found


def _of_all(entries: Sequence[Entry], values: Sequence[Any]) -> tuple[Any, ...]:
    """Return a value for each: those of the runs, in their order, and a dash for ensembles."""
    rest = iter(values)
    return tuple(next(rest) if each.settings else NO_SETTING for each in entries)


def _made_with(run: RunFolder) -> Mapping[str, Any]:
    try:
        made = json.loads(run.environment.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}
