"""What a study found by now, put together of what is noted of its trials; and the best of it as TOML."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.planning.plan import keep_fitting
from clfctl.settings.dump import toml_value
from clfctl.tuning.found import TrialFound, Tuned
from clfctl.tuning.found import TrialState as Words
from clfctl.tuning.storage import answering
from clfctl.tuning.study import Opened
from clfctl.tuning.trial_settings import stated_of
from clfctl.tuning.trials import SAME_AS, counted

_STATES: Mapping[TrialState, Words] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
N_FOR_IMPORTANCE = 4


def result_of(opened: Opened) -> Tuned:
    """Return what a study has found by now."""
    with answering(opened.record.settings.storage):
        trials = counted(opened.study.get_trials(deepcopy=False))
    monitor = opened.record.settings.monitor
    found = tuple(_found(each, opened, METRICS[monitor].mode) for each in trials)
    result = Tuned(opened.folder.path, monitor, METRICS[monitor].mode, found, None, {})
    ended = [each for each in result.ranked() if each.state == "complete"]
    return replace(result, best=ended[0] if ended else None, importance=_importance(opened.study, ended))


def _found(trial: FrozenTrial, opened: Opened, mode: str) -> TrialFound:
    noted, values = trial.user_attrs, [*trial.intermediate_values.values()]
    value = trial.value if trial.state == TrialState.COMPLETE else None
    if value is None and values:
        value = (min if mode == "min" else max)(values)
    limits = noted.get("top1_interval")
    return TrialFound(
        number=trial.number,
        state=_STATES[trial.state],
        value=value,
        settings={each.name: each.value(trial.params[each.name]) for each in opened.space if each.name in trial.params},
        run=_run_of(trial, opened),
        epochs=noted.get("epochs", len(values)),
        seconds=noted.get("seconds", 0.0),
        top1=noted.get("top1"),
        top1_interval=(limits[0], limits[1]) if limits else None,
        reason=noted.get("reason", ""),
        retry_of=trial.system_attrs.get("failed_trial"),
        same_as=noted.get(SAME_AS),
    )


def _run_of(trial: FrozenTrial, opened: Opened) -> str:
    """Return the run of a trial, where the study lies now; on another machine it is where that says."""
    noted = trial.user_attrs
    is_ours = noted.get("folder", opened.record.id) == opened.record.id
    number = noted.get(SAME_AS, trial.number)
    return str(opened.folder.trial(number).path) if is_ours and "run" in noted else noted.get("run", "")


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
        stated["data"] = opened.record.here({"data": opened.record.settings.data})["data"]
        head.append("# A training that begins with the probe's classifier.")
    else:
        settings = keep_fitting(stated_of(opened.record, best.settings)).settings
        left_out = ("export", "run_name", "runs_dir", "time")
        stated = {name: getattr(settings, name) for name in type(settings).model_fields if name not in left_out}
        stated = {name: each for name, each in stated.items() if name in settings.model_fields_set}
    lines = [f"{name} = {toml_value(each)}" for name, each in stated.items() if each is not None]
    return "\n".join([*head, *lines]) + "\n"
