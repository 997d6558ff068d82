"""From settings to a schedule."""

import math
from typing import Literal

from clfctl.errors import UsageError
from clfctl.schedules.base import Schedule
from clfctl.schedules.compose import Warmup
from clfctl.schedules.kinds import Cosine, Plateau, Step
from clfctl.settings.groups import Monitor, ScheduleSettings


def build_schedule(settings: ScheduleSettings, epochs: int, monitor: Monitor) -> Schedule:
    """Return the schedule of a training of `epochs` epochs, warmup included; plateau goes by `monitor`.

    Raises UsageError for a warmup that fills the whole training.
    """
    if settings.warmup >= epochs:
        hint = "train for more --epochs or warm up for less"
        raise UsageError(f"--warmup: {settings.warmup:g} epochs leave nothing of the {epochs} to be trained", hint)
    inner: Schedule
    match settings.scheduler:
        case "step":
            inner = Step(settings.step_size, settings.gamma)
        case "cosine":
            inner = Cosine(settings.t_max or max(1, epochs - math.floor(settings.warmup)), settings.eta_min)
        case "plateau":
            inner = Plateau(settings.patience, settings.factor, settings.eta_min, mode_of(monitor))
    return Warmup(inner, settings.warmup) if settings.warmup else inner


def mode_of(monitor: Monitor) -> Literal["min", "max"]:
    """Return whether a smaller or a larger value of the metric is better."""
    return "min" if monitor.endswith("loss") else "max"
