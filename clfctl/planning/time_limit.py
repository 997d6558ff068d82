"""How many epochs a length of time is: what is stated of them, and the most that fit."""

from dataclasses import replace

from clfctl.planning.plan import make_plan
from clfctl.settings.groups import TrainSettings
from clfctl.settings.optimization import MAX_EPOCHS
from clfctl.settings.sources import Resolved

# Settings that say how long a training is.
LENGTHS = ("epochs", "t_max")


def within_time(resolved: Resolved[TrainSettings]) -> Resolved[TrainSettings]:
    """Return the settings in which `time` decides: a length that a weaker source states gives way to it.

    One of the same source, or of a stronger one, is a limit.
    """
    if not resolved.settings.time:
        return resolved
    weaker = {name for name in LENGTHS if resolved.ranks[name] > resolved.ranks["time"]}
    kept = resolved.settings.model_dump(exclude_unset=True, exclude=weaker)
    return replace(resolved, settings=TrainSettings.model_validate(kept))


def limit_of(settings: TrainSettings) -> int:
    """Return the most epochs that may be trained in the time of the settings."""
    return settings.epochs if "epochs" in settings.model_fields_set else MAX_EPOCHS


def epochs_that_fit(settings: TrainSettings, n_batches: int, n_fitting: float) -> int:
    """Return the `epochs` of the settings, at least 1, with which no more than `n_fitting` are trained in all.

    A warmup beside them counts.
    """
    most = int(min(limit_of(settings), max(1.0, n_fitting)))
    if settings.warmup_inside:
        return most
    least = 1
    while least < most:  # the whole plan grows with the epochs: the largest that fits
        middle = (least + most + 1) // 2
        whole = make_plan(settings.model_copy(update={"epochs": middle}), n_batches).epochs
        least, most = (middle, most) if whole <= n_fitting else (least, middle - 1)
    return least
