"""A study from its folder to its result: begun, joined or gone on with, searched, confirmed, and put together."""

import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from clfctl.data.onlookers import Onlookers, no_bar, no_line
from clfctl.errors import Interrupted, UsageError
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.planning.plan import keep_fitting
from clfctl.runs.folder import RunFolder, create_run
from clfctl.settings.clock import parse_clock
from clfctl.settings.dump import toml_value
from clfctl.storage.lock import locked_in_turn
from clfctl.storage.names import shell
from clfctl.tuning.folder import (
    Record,
    StudyFolder,
    difference,
    is_file_storage,
    read_record,
    without_password,
    write_record,
)
from clfctl.tuning.found import Confirmed, TrialFound, Tuned, best_epoch
from clfctl.tuning.found import TrialState as Words
from clfctl.tuning.sampling import pruner_of, sampler_of
from clfctl.tuning.search import Search, counted
from clfctl.tuning.space import Space, read_space
from clfctl.tuning.storage import answering, open_storage
from clfctl.tuning.training import Outcome, probe_run, train_run
from clfctl.tuning.trial_settings import check_study, names_in, probe_of, stated_of, training_of

_STATES: Mapping[TrialState, Words] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
# The name in a storage of its own, so that the same study is the same wherever it lies: brackets of hyperband go by it.
OWN_NAME = "study"
_ABOUT = "clfctl"
N_FOR_IMPORTANCE = 4


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
    if storage and settings.run_name and "{n}" not in settings.run_name and StudyFolder(path).record.is_file():
        return go_on_with(StudyFolder(path), record)
    if settings.run_name and path.exists():
        numbered = f"let clfctl number it (`run_name={path.name}-{{n}}`)"
        hint = f"choose another name, {numbered}, or go on with: {shell('tune', path)}"
        raise UsageError(f"{path} exists already", hint, field="run_name")
    run = create_run(settings.runs_dir, settings.run_name or "tune-{n}", "tune")
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


def go_on_with(folder: StudyFolder, asked: Record | None, changes: Mapping[str, Any] | None = None) -> Opened:
    """Open a study that there is, with `changes` of what may differ. Raises UsageError if `asked` is another study."""
    record = read_record(folder)
    if asked:
        _check_same(f"{folder.path}", asked, record.same())
        names = ("storage", "trials", "time", "confirm", "write", "heartbeat", "device", "workers")
        changes = {name: getattr(asked.settings, name) for name in names}
    if changes:
        record = record.with_values(changes)
        write_record(folder, record)
    return _opened(folder, record, space_of(record), None)


def _check_same(name: str, asked: Record, there: Mapping[str, Any]) -> None:
    if why := difference(asked, there):
        hint = "choose another name with `run_name=`, or join it with the same settings"
        raise UsageError(f"the study {name} is another one: {why}", hint, field="run_name")


def _opened(folder: StudyFolder, record: Record, space: Space, storage: BaseStorage | None) -> Opened:
    settings = record.settings
    storage = storage or open_storage(settings.storage, folder, settings.heartbeat)
    mode, name = METRICS[settings.monitor].mode, OWN_NAME if is_file_storage(settings.storage) else folder.path.name
    with answering(settings.storage):
        study = optuna.create_study(
            storage=storage,
            sampler=sampler_of(settings.sampler, space, settings.seed),
            pruner=pruner_of(settings.pruner, _most_epochs(record, space)),
            study_name=name,
            direction="minimize" if mode == "min" else "maximize",
            load_if_exists=True,
        )
        there = study.user_attrs.get(_ABOUT)
        if there is None:
            study.set_user_attr(_ABOUT, record.same())
    if there is not None:
        _check_same(f"{name} at {without_password(settings.storage)}", record, there)
    return Opened(folder, record, space, study, storage)


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
    values = []
    with locked_in_turn(opened.folder.lock("confirm"), lambda holder: to.tell(f"Waiting for {holder}")):
        for seed in seeds:
            run = opened.folder.confirmation(best.number, seed)
            if epoch := best_epoch(_again(opened, best, seed, run, listens=listens).history, settings.monitor):
                values.append(epoch.metric(settings.monitor))
                to.tell(f"Trial {best.number} with seed {seed}: {settings.monitor} {values[-1]:.4f}")
    return Confirmed(best.number, seeds, tuple(values)) if values else None


def _again(opened: Opened, best: TrialFound, seed: int, run: RunFolder, *, listens: bool) -> Outcome:
    quiet, record = Onlookers(no_line, no_bar), opened.record
    if record.settings.stage == "probe":
        return probe_run(probe_of(record, best.settings, run.path, seed=seed), run, quiet)
    try:
        settings = training_of(record, best.settings, run.path, seed=seed).settings
        return train_run(settings, run, [], quiet, listens=listens)
    except Interrupted as error:
        raise Interrupted(error.message, f"go on with: {shell('tune', opened.folder.path)}", error.exit_code) from None


def result_of(opened: Opened) -> Tuned:
    """Return what a study has found by now."""
    with answering(opened.record.settings.storage):
        trials = counted(opened.study.get_trials(deepcopy=False))
    monitor = opened.record.settings.monitor
    found = tuple(_found(each, opened.space, METRICS[monitor].mode) for each in trials)
    result = Tuned(opened.folder.path, monitor, METRICS[monitor].mode, found, None, {})
    ended = [each for each in result.ranked() if each.state == "complete"]
    return replace(result, best=ended[0] if ended else None, importance=_importance(opened.study, ended))


def _found(trial: FrozenTrial, space: Space, mode: str) -> TrialFound:
    noted, values = trial.user_attrs, [*trial.intermediate_values.values()]
    value = trial.value if trial.state == TrialState.COMPLETE else None
    if value is None and values:
        value = (min if mode == "min" else max)(values)
    limits = noted.get("top1_interval")
    return TrialFound(
        number=trial.number,
        state=_STATES[trial.state],
        value=value,
        settings={each.name: each.value(trial.params[each.name]) for each in space if each.name in trial.params},
        run=noted.get("run", ""),
        epochs=noted.get("epochs", len(values)),
        seconds=noted.get("seconds", 0.0),
        top1=noted.get("top1"),
        top1_interval=(limits[0], limits[1]) if limits else None,
        reason=noted.get("reason", ""),
        retry_of=trial.system_attrs.get("failed_trial"),
    )


def _importance(study: optuna.Study, ended: list[TrialFound]) -> dict[str, float]:
    if len(ended) < N_FOR_IMPORTANCE:
        return {}
    with suppress(ValueError, RuntimeError):  # all trials alike
        return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {}


def best_toml(opened: Opened, best: TrialFound) -> str:
    """Return the settings of the best trial as TOML for `clfctl train`: those that are stated or were drawn."""
    head = [f"# Trial {best.number} of {opened.folder.path}: {opened.record.settings.monitor} {best.value:.6g}."]
    if opened.record.settings.stage == "probe":
        stated: dict[str, Any] = {"start_from": Path(best.run), "recipe": "probe-then-finetune"}
        stated["data"] = opened.record.settings.data
        head.append("# A training that begins with the probe's classifier.")
    else:
        settings = keep_fitting(stated_of(opened.record, best.settings)).settings
        left_out = ("export", "run_name", "runs_dir", "time")
        stated = {name: getattr(settings, name) for name in type(settings).model_fields if name not in left_out}
        stated = {name: each for name, each in stated.items() if name in settings.model_fields_set}
    lines = [f"{name} = {toml_value(each)}" for name, each in stated.items() if each is not None]
    return "\n".join([*head, *lines]) + "\n"
