"""What is noted of a trial beside its value, and told: which of them count, and which have the same settings."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna import Trial
from optuna.trial import FrozenTrial, TrialState

from clfctl.tuning.folder import Record
from clfctl.tuning.space import Value
from clfctl.tuning.training import Outcome
from clfctl.tuning.trial_settings import probe_of, training_of

# Names of what is noted of a trial.
SURPLUS, MADE_OF, SAME_AS = "surplus", "made_of", "same_as"
# What of a trial is that of another with the same settings.
_SHARED = ("epochs", "epoch", "top1", "top1_interval", "run", "folder")


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that count, in their order: not those that are tried again under another number."""
    retried = {number for each in trials for number in each.system_attrs.get("retry_history", ())}
    return [each for each in trials if each.number not in retried and not each.user_attrs.get(SURPLUS)]


def digest_of(record: Record, drawn: Mapping[str, Value]) -> str:
    """Return what tells the settings of a trial from others: a parameter that the drawn schedule lacks is none of them.

    Raises UsageError for settings that do not go together.
    """
    is_probe = record.settings.stage == "probe"
    settings = probe_of(record, drawn) if is_probe else training_of(record, drawn).settings
    text = json.dumps(settings.model_dump(mode="json", exclude={"runs_dir", "run_name"}), sort_keys=True)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def twin_of(trial: Trial, made_of: str, every: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """Return a trial of the same settings that came to its end: trained again it would give the same bits."""
    return next(
        (
            each
            for each in every
            if each.state == TrialState.COMPLETE
            and each.number < trial.number
            and each.user_attrs.get(MADE_OF) == made_of
        ),
        None,
    )


def noted_of(twin: FrozenTrial) -> dict[str, Any]:
    """Return what is noted of a trial that is the same as another."""
    shared = {name: twin.user_attrs[name] for name in _SHARED if name in twin.user_attrs}
    return {**shared, SAME_AS: twin.number, "reason": f"the same settings as trial {twin.number}"}


def n_trials(n: int) -> str:
    """Return a number of trials in words."""
    return f"{n} {'trial' if n == 1 else 'trials'}"


def epochs_of(outcome: Outcome) -> str:
    """Return how many epochs were trained, in words."""
    n = len(outcome.history)
    return f"{n} {'epoch' if n == 1 else 'epochs'}"


def spoken(drawn: Mapping[str, Value]) -> str:
    """Return what was drawn, in words."""
    return ", ".join(f"{name} {'none' if value is None else value}" for name, value in drawn.items())
