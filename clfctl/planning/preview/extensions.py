"""The tracks of a run that is made longer: one for each way in which its rate may go on from where it stands."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

from clfctl.planning.changes import change_settings, stated_in
from clfctl.planning.extending import Extension, Standing, extend, obstacle
from clfctl.planning.history import RunHistory, run_history
from clfctl.planning.preview.asked import Asked
from clfctl.planning.preview.parameter import GROUP
from clfctl.planning.preview.runs import batches_ahead, goes_on_at, of_run
from clfctl.planning.preview.track import Track
from clfctl.planning.quantities import LEARNING_RATE
from clfctl.runs.folder import open_run
from clfctl.settings.extending import Way
from clfctl.settings.groups import TrainSettings


def of_run_going_on(asked: Asked, folder: Path) -> list[Track]:
    """Return the track of a run, or of one that is made longer one for each way, that of the default first.

    Raises UsageError for a way that is asked for and is not there.
    """
    past = run_history(open_run(folder))
    settings, found = _changed(asked, past), list(_ways(asked, past))
    n_batches = batches_ahead(asked, past, settings)
    if not found:
        return [of_run(asked, past, settings, n_batches)]
    tracks = [replace(of_run(asked, past, each.settings, n_batches), case=each.way) for each in found]
    if len(tracks) == 1:
        tracks = [replace(tracks[0], case="")]
    return [replace(tracks[0], notes=(*tracks[0].notes, f"{found[0].line}.")), *tracks[1:]]


def _ways(asked: Asked, run: RunHistory) -> Iterator[Extension]:
    """Yield how a run may go on, as what is typed makes it longer; nothing if it does not."""
    stated, settings = stated_in(asked.resolved), _changed(asked, run)
    at = Standing(goes_on_at(run, settings), run.last_lr, run.metrics(settings.monitor), run.n_batches)
    default = extend(run.settings, settings, stated, at, asked.extend)
    if not default.line:
        return
    yield default
    if asked.extend or asked.quantity != LEARNING_RATE or asked.parameter == GROUP:
        return
    for way in get_args(Way):
        if way != default.way and not obstacle(run.settings, at, way):
            yield extend(run.settings, settings, stated, at, way)


def _changed(asked: Asked, run: RunHistory) -> TrainSettings:
    """Return the settings of a run with what is typed in the place of its own."""
    stated = stated_in(asked.resolved)
    return change_settings(run.settings, stated, next((asked.resolved.origins[name] for name in stated), ""))[0]
