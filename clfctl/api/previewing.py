"""A preview, from Python: what a schedule will set, before anything is trained."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clfctl.data.onlookers import no_line
from clfctl.errors import UsageError, shortened
from clfctl.planning.preview.asked import about_defaults, ask
from clfctl.planning.preview.track import Track
from clfctl.planning.preview.tracks import tracks_of
from clfctl.schedules.base import Schedule
from clfctl.settings.groups import PlanSettings, TrainSettings
from clfctl.settings.sources import from_fields


@dataclass(frozen=True)
class Preview:
    """A learning rate over the epochs, before anything is trained.

    `tracks` are its courses: one, or two where it depends on a metric that is not known, for the case that the metric
    never improves and for the case that it always does. `cautions` say what is most likely a mistake; `notes` are
    sentences: which defaults are shown, and what was found on the way.
    """

    tracks: tuple[Track, ...]
    cautions: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def points(self, per_epoch: int = 0) -> list[tuple[float, float]]:
        """Return (time in epochs, learning rate) of the first course, of `per_epoch` batches an epoch if given."""
        return self.tracks[0].points(per_epoch)

    @property
    def rates(self) -> list[tuple[int, float, float]]:
        """(epoch from 1, learning rate of its first step, of its last) of the first course."""
        return [*self.tracks[0].rates()]


def preview(
    schedule: "Schedule | PlanSettings | str | Path | None" = None,
    *,
    metrics: Iterable[float] = (),
    steps_per_epoch: int | None = None,
    parameter: str = "lr",
    **fields: Any,
) -> Preview:
    """Return the learning rate over the epochs, from the very object that training goes by; without torch.

    `schedule` is a kind or an expression (`"linear:2 > cosine"`), a run folder, settings, or a schedule object, which
    is taken as it is; `fields` are settings by name, as for `train`, with the same defaults. `metrics` are the values
    of the monitored metric that plateau and early stopping are to see, `steps_per_epoch` the batches of an epoch, where
    it is not the data that says it. `parameter` is what is returned in the place of the learning rate: "momentum",
    "weight-decay", or "group" for the rate of each param group. Torch is imported for these groups, and for what only a
    training can measure, such as `time="20m"`.
    """
    if isinstance(schedule, PlanSettings):
        fields = {**schedule.model_dump(exclude_unset=True), **fields}
    is_made = schedule is None or isinstance(schedule, PlanSettings | Schedule)
    subjects = () if is_made else (str(schedule),)
    resolved = from_fields(TrainSettings, fields)
    asked = ask(resolved, subjects, _numbers(metrics), steps_per_epoch, parameter=parameter)
    if asked.is_measured:
        from clfctl.engine.estimate import measured

        asked = measured(asked, no_line)
    if asked.needs_groups:
        from clfctl.engine.model_groups import with_groups

        asked = with_groups(asked)
    tracks = tracks_of(asked, schedule if isinstance(schedule, Schedule) else None)
    cautions = dict.fromkeys(each for track in tracks for each in track.plan.cautions)
    notes = dict.fromkeys((*about_defaults(asked), *asked.notes, *(each for track in tracks for each in track.notes)))
    return Preview(tuple(tracks), tuple(cautions), tuple(notes))


def _numbers(metrics: Iterable[float]) -> tuple[float, ...]:
    try:
        return tuple(map(float, metrics))
    except (TypeError, ValueError):
        raise UsageError(f"{shortened(metrics)} is not a sequence of numbers", field="metrics") from None
