"""A study from its folder to its result: begun, joined or gone on with, searched, confirmed, and put together."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage

from clfctl.data.onlookers import Onlookers, no_bar, no_line
from clfctl.errors import ClfctlError, Interrupted, UsageError
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.runs.folder import RunFolder, create_run
from clfctl.settings.clock import parse_clock
from clfctl.storage.files import TEMPORARY
from clfctl.storage.lock import locked_in_turn
from clfctl.storage.names import shell
from clfctl.tuning.folder import (
    OF_PROCESS,
    OF_STUDY,
    Record,
    StudyFolder,
    difference,
    is_file_storage,
    read_record,
    without_password,
    write_record,
)
from clfctl.tuning.found import Confirmed, TrialFound, best_epoch
from clfctl.tuning.sampling import pruner_of, sampler_of
from clfctl.tuning.search import ENDING, PAUSE_S, Search
from clfctl.tuning.space import Space, read_space
from clfctl.tuning.storage import answering, open_storage
from clfctl.tuning.training import Outcome, probe_run, train_run
from clfctl.tuning.trial_settings import check_study, names_in, probe_of, training_of

# The name in a storage of its own, so that the same study is the same wherever it lies: brackets of hyperband go by it.
OWN_NAME = "study"
_ABOUT = "clfctl"
# How long another process is waited for that makes the same study at the same moment: its folder, and its record.
MAKING_S, ABOUT_S = 15.0, 5.0


@dataclass(frozen=True)
class Opened:
    """A study whose storage answers."""

    folder: StudyFolder
    record: Record
    space: Space
    study: optuna.Study
    storage: BaseStorage


def space_of(record: Record) -> Space:
    """Return what a study searches."""
    return read_space(record.space, names_in(record.settings.stage))


def begin_study(record: Record) -> Opened:
    """Check everything, open the storage, and make the study's folder; or join the study of that name in a database.

    Raises ClfctlError, and nothing is made then.
    """
    settings, space = record.settings, space_of(record)
    if not is_file_storage(settings.storage) and not settings.run_name:
        hint = "name it with `run_name=`: every process that says so works on it"
        raise UsageError("a study in a database needs a name", hint, field="run_name")
    check_study(record, space)
    storage = None if is_file_storage(settings.storage) else open_storage(settings.storage, None, settings.heartbeat)
    path = settings.runs_dir / settings.run_name
    if storage and settings.run_name and "{n}" not in settings.run_name and _is_there(StudyFolder(path)):
        return go_on_with(StudyFolder(path), record)
    if settings.run_name and path.exists():
        numbered = f"let clfctl number it (`run_name={path.name}-{{n}}`)"
        hint = f"choose another name, {numbered}, or go on with: {shell('tune', path)}"
        raise UsageError(f"{path} exists already", hint, field="run_name")
    try:
        run = create_run(settings.runs_dir, settings.run_name or "tune-{n}", "tune")
    except UsageError:  # another process was faster by a moment
        if storage and _is_there(StudyFolder(path)):
            return go_on_with(StudyFolder(path), record)
        raise
    folder = StudyFolder(run.path)
    try:
        run.last.parent.rmdir()
        folder.lock("choice").parent.mkdir()
        opened = _opened(folder, record, space, storage)
        write_record(folder, record)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
    return opened


def _is_there(folder: StudyFolder) -> bool:
    """Return whether there is a study in a folder; one that another process is making this moment is waited for."""
    end_s = time.monotonic() + MAKING_S
    while not folder.record.is_file() and _is_being_made(folder.path) and time.monotonic() < end_s:
        time.sleep(PAUSE_S)
    return folder.record.is_file()


def _is_being_made(path: Path) -> bool:
    """Return whether a folder has nothing but what a study begins with; a run and others have files.

    Its record has another name while it is written.
    """
    try:
        return all(each.is_dir() or each.name.endswith(TEMPORARY) for each in path.iterdir())
    except OSError:  # it is not there, or not any more
        return False


def go_on_with(folder: StudyFolder, asked: Record | None, changes: Mapping[str, Any] | None = None) -> Opened:
    """Open a study that there is, with `changes` of what may differ. Raises UsageError if `asked` is another study."""
    with locked_in_turn(folder.lock("record"), lambda _: None):  # two may change it at once
        record = read_record(folder)
        if asked:
            _check_same(f"{folder.path}", asked, record.same())
            changes = _asked_of(folder, record, asked)
        kept = {name: value for name, value in (changes or {}).items() if name in OF_STUDY}
        if any(getattr(record.settings, name) != value for name, value in kept.items()):
            write_record(folder, record.with_values(kept))
    record = record.with_values(changes) if changes else record
    return _opened(folder, record, space_of(record), None)


def _asked_of(folder: StudyFolder, record: Record, asked: Record) -> dict[str, Any]:
    """Return what is stated of a study that is there already. Raises UsageError if its trials are noted elsewhere."""
    resolved, (ours, theirs) = asked.resolved(), (each.settings.storage for each in (asked, record))
    if without_password(ours) != without_password(record.here({"storage": theirs})["storage"]):
        what = f"the study {folder.path} is noted at {theirs}, not at {without_password(ours)}"
        raise UsageError(what, "choose another name with `run_name=`, or another `runs_dir=`", field="storage")
    stated = {name: getattr(resolved.settings, name) for name in OF_PROCESS if resolved.is_stated(name)}
    return {"time": "", "write": None, **record.kept(stated)}


def _check_same(name: str, asked: Record, there: Mapping[str, Any]) -> None:
    if why := difference(asked, there):
        hint = "choose another name with `run_name=`, or join it with the same settings"
        raise UsageError(f"the study {name} is another one: {why}", hint, field="run_name")


def _opened(folder: StudyFolder, record: Record, space: Space, storage: BaseStorage | None) -> Opened:
    settings = record.settings
    address = record.here({"storage": settings.storage})["storage"]
    storage = storage or open_storage(address, folder, settings.heartbeat)
    mode, name = METRICS[settings.monitor].mode, OWN_NAME if is_file_storage(address) else folder.path.name
    sampler = sampler_of(settings.sampler, space, settings.seed)
    pruner = pruner_of(settings.pruner, _most_epochs(record, space))
    with answering(address):
        try:
            study = optuna.create_study(
                storage=storage,
                sampler=sampler,
                pruner=pruner,
                study_name=name,
                direction="minimize" if mode == "min" else "maximize",
            )
            there = None
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(study_name=name, storage=storage, sampler=sampler, pruner=pruner)
            there = _about(study)
        if there is None:
            study.set_user_attr(_ABOUT, record.same())
    if there is not None:
        _check_same(f"{name} at {without_password(address)}", record, there)
    return Opened(folder, record, space, study, storage)


def _about(study: optuna.Study) -> Mapping[str, Any] | None:
    """Return what whoever made a study says of it; None if that process ended before it could."""
    end_s = time.monotonic() + ABOUT_S
    while (there := study.user_attrs.get(_ABOUT)) is None and time.monotonic() < end_s:
        time.sleep(PAUSE_S)
    return there


def _most_epochs(record: Record, space: Space) -> int:
    """Return the epochs of the longest trial, as far as the settings say."""
    searched = next((each for each in space if each.name == "epochs"), None)
    found = [int(each) for each in searched.samples if each is not None] if searched else [record.settings.epochs]
    return max(found)


def search_in(opened: Opened, to: Onlookers, *, listens: bool) -> bool:
    """Work on the trials of a study; return whether there are as many as are wanted. Raises as `Search.to_the_end`."""
    limit = opened.record.settings.time
    deadline_s = time.monotonic() + parse_clock(limit) if limit else float("inf")
    search = Search(
        opened.folder, opened.record, opened.space, opened.study, opened.storage, to, listens, deadline_s=deadline_s
    )
    return search.to_the_end()


def confirm(opened: Opened, best: TrialFound, to: Onlookers, *, listens: bool) -> Confirmed | None:
    """Train the best trial's settings with other seeds; None where none are asked for."""
    settings = opened.record.settings
    seeds = tuple(settings.seed + n for n in range(1, settings.confirm + 1))
    if not seeds:
        return None
    values = dict[int, float]()
    with locked_in_turn(opened.folder.lock("confirm"), lambda holder: to.tell(f"Waiting for {holder}")):
        for seed in seeds:
            whose = f"Trial {best.number} with seed {seed}"
            run = opened.folder.confirmation(best.number, seed)
            try:
                epoch = best_epoch(_again(opened, best, seed, run, listens=listens).history, settings.monitor)
            except ENDING:
                raise
            except ClfctlError as error:  # other first weights may diverge where the best did not
                to.tell(f"{whose}: {error}")
                continue
            if epoch:
                values[seed] = epoch.metric(settings.monitor)
                to.tell(f"{whose}: {settings.monitor} {values[seed]:.4f}")
    failed, is_share = tuple(seed for seed in seeds if seed not in values), METRICS[settings.monitor].kind == "share"
    return Confirmed(best.number, tuple(values), tuple(values.values()), failed, is_share)


def _again(opened: Opened, best: TrialFound, seed: int, run: RunFolder, *, listens: bool) -> Outcome:
    quiet, record = Onlookers(no_line, no_bar), opened.record
    if record.settings.stage == "probe":
        return probe_run(probe_of(record, best.settings, run.path, seed=seed), best.settings, run, quiet)
    try:
        settings = training_of(record, best.settings, run.path, seed=seed).settings
        return train_run(settings, best.settings, run, [], quiet, listens=listens)
    except Interrupted as error:
        raise Interrupted(error.message, f"go on with: {shell('tune', opened.folder.path)}", error.exit_code) from None
