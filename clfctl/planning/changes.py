"""Changing the settings of a run that has begun: what may change, what does, and what cannot and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from clfctl.errors import UsageError
from clfctl.planning.plan import keep_fitting
from clfctl.settings.base import option_of
from clfctl.settings.groups import TrainSettings
from clfctl.settings.messages import explain
from clfctl.settings.sources import TYPED, Resolved
from clfctl.settings.words import value_in_words

# Say where runs are, and how one goes on: not what one is made of.
NOT_KEPT = ("runs_dir", "extend")
# Settings that decide which images make which batch: after a change of one, the running epoch is begun again.
NEW_BATCHES = ("batch_size", "balance")
DECAY = "decayed weights and others are kept apart; it can only change from one value above 0 to another"


@dataclass(frozen=True)
class Change:
    """A setting by its field's name, with its value before and after."""

    name: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """Return it as users see it."""
        return f"`{self.name}=` {value_in_words(self.old)} → {value_in_words(self.new)}"


def change_settings(
    saved: TrainSettings, stated: Mapping[str, Any], where: str = TYPED
) -> tuple[TrainSettings, list[Change]]:
    """Return the saved settings with the stated ones in their place, and the changes that this makes.

    Messages say `where` they are stated. A parameter of the schedule that was saved for another kind than the new one
    is dropped, and so is the time to train what is no longer frozen. Raises UsageError for a setting that cannot
    change, with the reason, and for a parameter that the schedule does not have.
    """
    stated = {name: value for name, value in stated.items() if name not in NOT_KEPT}
    for name, value in stated.items():
        if value != getattr(saved, name) and (reason := option_of(TrainSettings, name).fixed):
            raise _fixed(name, getattr(saved, name), reason)
    if "weight_decay" in stated and bool(stated["weight_decay"]) != bool(saved.weight_decay):
        raise _fixed("weight_decay", saved.weight_decay, DECAY)
    try:
        changed = TrainSettings.model_validate(saved.model_dump() | stated)
    except ValidationError as error:
        problem, *_ = error.errors()
        name = str(problem["loc"][0])
        raise UsageError(explain(TrainSettings, name, problem, where), field=name) from None
    if not changed.freeze and "unfreeze_at" not in stated:
        changed = changed.model_copy(update={"unfreeze_at": None})  # what it was the time of is no more
    ranks = {name: int(name not in stated) for name in TrainSettings.model_fields}
    origins = {name: "run" if rank else where for name, rank in ranks.items()}
    settings = keep_fitting(Resolved(changed, origins, ranks)).settings
    return settings, changes_between(saved, settings)


def changes_between(old: TrainSettings, new: TrainSettings) -> list[Change]:
    """Return what is different in the new settings."""
    return [
        Change(name, getattr(old, name), getattr(new, name))
        for name in TrainSettings.model_fields
        if getattr(old, name) != getattr(new, name)
    ]


def changes_record(settings: TrainSettings, changes: Sequence[Change]) -> dict[str, Any]:
    """Return changes as a line of the run's changes.jsonl holds them; `settings` are the new ones."""
    values = settings.model_dump(mode="json")
    return {each.name: {"old": _plain(each.old), "new": values[each.name]} for each in changes}


def stated_in(resolved: Resolved[Any]) -> dict[str, Any]:
    """Return the settings that were typed on the command line."""
    return {name: getattr(resolved.settings, name) for name, rank in resolved.ranks.items() if rank == 0}


def _fixed(name: str, saved: Any, reason: str) -> UsageError:
    hint = f"it is {value_in_words(saved)}; to use another value, train a new run"
    return UsageError(f"cannot change in a run that has begun: {reason}", hint, field=name)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str | None) else str(value)
