"""The schedule of another library, shown under the settings of ours that it is translated into."""

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from clfctl.errors import UsageError, shortened
from clfctl.planning.foreign import is_foreign
from clfctl.planning.preview.asked import Asked
from clfctl.schedules.catalog import kind_options
from clfctl.settings.groups import TrainSettings
from clfctl.settings.messages import explain
from clfctl.settings.schedule import ScheduleSettings

if TYPE_CHECKING:
    from clfctl.planning.foreign.translation import Translation

# What would bend the rate that a translation says.
SCALING = ("scale_lr", "reference_batch")
# What a translation says itself, or what may be stated beside it.
BESIDE = ("scheduler", "strict", "momentum_schedule", "weight_decay_schedule")


def in_our_words(asked: Asked, text: str) -> tuple[Asked, str, tuple[str, ...]]:
    """Return what is asked for with the settings of a translation, its expression, and sentences about it.

    Of what is not foreign all stays as it is. Raises UsageError for what cannot be translated exactly, and for a
    setting of the curve that is stated beside a text that says the whole of it.
    """
    if not is_foreign(text):
        return asked, text, ()
    from clfctl.planning.foreign.translate import translate  # most previews have nothing of it

    found = translate(text, asked.n_batches, _stated(asked, text))
    scheduler = str(found.settings["scheduler"])
    said = asked.settings.model_dump(exclude_unset=True) | _unsaid() | dict(found.settings)
    try:
        settings = TrainSettings.model_validate(said | {"scheduler": scheduler})
    except ValidationError as error:  # what theirs allows may be beyond ours
        problem, *_ = error.errors()
        name = str(problem["loc"][0])
        raise UsageError(explain(TrainSettings, name, problem, f"text {shortened(text)!r}"), field=name) from None
    resolved = replace(asked.resolved, settings=settings)
    return replace(asked, resolved=resolved), scheduler, tuple(_notes(found))


def _stated(asked: Asked, text: str) -> dict[str, object]:
    """Return the settings that were typed; raises UsageError for one that a translation does not leave room for."""
    ranks, settings = asked.resolved.ranks, asked.settings
    stated = {name: getattr(settings, name) for name, rank in ranks.items() if rank == 0}
    for name in (*ScheduleSettings.model_fields, *kind_options(), *SCALING):
        if name in stated and name not in BESIDE:
            what = f"{shortened(text)!r} says the whole curve"
            raise UsageError(what, "leave it out, or type our command and add it there", field=name)
    return stated


def _unsaid() -> dict[str, object]:
    """Return the settings of the curve as they are where nothing states them: a translation means nothing else."""
    names = [name for name in ScheduleSettings.model_fields if name not in BESIDE]
    defaults = {name: ScheduleSettings.model_fields[name].default for name in names}
    return defaults | dict.fromkeys(kind_options()) | {"scale_lr": "none", "reference_batch": None}


def _notes(found: "Translation") -> list[str]:
    return [f"Ours: {found.command}", *(f"Note: {note}." for note in found.notes)]
