"""From the subjects of a preview to tracks: one line here for each kind of subject, one file each beside this."""

from collections.abc import Iterator
from pathlib import Path

from clfctl.planning.preview.asked import Asked
from clfctl.planning.preview.expressions import of_expression, of_schedule
from clfctl.planning.preview.parameter import GROUP, Group, by_group
from clfctl.planning.preview.track import Track
from clfctl.planning.quantities import LEARNING_RATE
from clfctl.schedules import Schedule


def tracks_of(asked: Asked, schedule: Schedule | None = None) -> list[Track]:
    """Return the tracks of runs and of expressions, or of each of their param groups.

    A `schedule` that was made in Python takes the place of an expression. Raises UsageError for what is neither.
    """
    if schedule:
        found = [of_schedule(asked, schedule)]
    else:
        found = [track for text in asked.of_schedules for track in of_expression(asked, text)]
    # What reads runs is not imported for schedules.
    runs = [*_of_runs(asked)] if asked.folders else []
    if asked.parameter == GROUP:
        pairs = [*runs, *((track, asked.groups) for track in found)]
        return [each for track, groups in pairs for each in by_group(track, groups)]
    tracks = [*(track for track, _ in runs), *found]
    # Several schedules of the rate leave what else follows one where it is.
    return [*{track.name: track for track in tracks}.values()] if asked.quantity != LEARNING_RATE else tracks


def _of_runs(asked: Asked) -> Iterator[tuple[Track, tuple[Group, ...]]]:
    """Yield the track of each run, with its param groups where these are asked for."""
    from clfctl.planning.preview.extensions import of_run_going_on
    from clfctl.planning.preview.runs import groups_of

    for folder in map(Path, asked.folders):
        groups = groups_of(asked, folder) if asked.parameter == GROUP else ()
        yield from ((track, groups) for track in of_run_going_on(asked, folder))
