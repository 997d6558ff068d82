"""From the subjects of a preview to tracks: one line here for each kind of subject, one file each beside this."""

from pathlib import Path

from clfctl.planning.preview.asked import Asked
from clfctl.planning.preview.expressions import of_expression
from clfctl.planning.preview.runs import of_run
from clfctl.planning.preview.track import Track


def tracks_of(asked: Asked) -> list[Track]:
    """Return the tracks of runs and of expressions. Raises UsageError for what is neither."""
    tracks = [of_run(asked, Path(folder)) for folder in asked.folders]
    for text in asked.of_schedules:
        tracks += of_expression(asked, text)
    return tracks
