"""From the subjects of a preview to tracks: one line here for each kind of subject, one file each beside this."""

from pathlib import Path

from clfctl.planning.preview.asked import Asked
from clfctl.planning.preview.expressions import of_expression, of_schedule
from clfctl.planning.preview.parameter import GROUP, by_group
from clfctl.planning.preview.runs import groups_of, of_run
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
    runs = [(of_run(asked, Path(each)), each) for each in asked.folders]
    if asked.parameter == GROUP:
        of_runs = [(track, groups_of(asked, Path(folder))) for track, folder in runs]
        of_found = [(track, asked.groups) for track in found]
        return [each for track, groups in (*of_runs, *of_found) for each in by_group(track, groups)]
    tracks = [*(track for track, _ in runs), *found]
    # Several schedules of the rate leave what else follows one where it is.
    return [*{track.name: track for track in tracks}.values()] if asked.quantity != LEARNING_RATE else tracks
