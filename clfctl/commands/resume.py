"""clfctl resume: go on with a run exactly where it was stopped, or with changes that are shown first."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from clfctl import api
from clfctl.commands.next_steps import summary
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once
from clfctl.errors import UsageError
from clfctl.runs.folder import open_run
from clfctl.runs.relaunch import is_of_this_launch
from clfctl.runs.state import progress_words, states_in
from clfctl.storage.names import shell

if TYPE_CHECKING:
    from clfctl.engine.session import Session


def resume(
    path: Path | None, runs_dir: Path, stated: Mapping[str, Any], output: Output, *, allow_data_change: bool
) -> None:
    """Go on with a run, or with the newest unfinished one if the user wants it; `stated` settings replace its own."""
    chosen = path or _offer(runs_dir)
    if chosen is None:
        return
    run = open_run(chosen)
    if is_of_this_launch(run):  # torchrun's first start has changed it
        stated = {}
    with (
        stopping_at_once(f"go on with: {shell('resume', run.path)}"),
        api.reopen(run, stated, allow_data_change=allow_data_change) as session,
    ):
        _go_on(session, output)


def _go_on(session: "Session", output: Output) -> None:
    from clfctl.display.seam import moved_lines, seam_lines
    from clfctl.display.watchers import Plots, watchers_for

    trainer, reopened, to = session.trainer, session.reopened, output.onlookers()
    is_changed = reopened is not None and reopened.is_changed
    plots = [] if session.run.plots.is_dir() else [Plots(output.note)]
    if trainer.is_finished() and not is_changed:
        api.finish(session, plots, to)
        output.note(*session.warnings, _nothing_left(session))
        return
    output.note(*session.description())
    if reopened and is_changed:
        images = [f"Change images: {reopened.data_change}"] if reopened.data_change else []
        output.note(*(f"Change {each}" for each in reopened.changes), *images)
        output.note(*filter(None, [reopened.extension]))
        output.note(*seam_lines(trainer, reopened.old_plan, reopened.last_lr, output.width()))
        output.note(*moved_lines(trainer, reopened.old_plan))
    session.keep_changes(to)
    output.note(*session.cautions())
    if trainer.is_finished():
        api.finish(session, plots, to)
        output.note(_nothing_left(session))
        return
    output.note(*summary(api.finish(session, watchers_for(output), to)))


def _nothing_left(session: "Session") -> str:
    trainer, path = session.trainer, session.run.path
    how = "early stopping ended it" if trainer.stopped_early() else "all were trained"
    done = f"{trainer.state.cursor.epoch} of {trainer.plan.epochs} epochs, {how}"
    longer = "`early_stopping=0`" if trainer.stopped_early() else "`epochs=N`"
    return f"{path} has nothing left to train: {done}. To train on: {shell('resume', path)} {longer}"


def _offer(runs_dir: Path) -> Path | None:
    """Return the unfinished run that changed last, if the user wants it. Raises UsageError with nobody to ask."""
    unfinished = [state for state in states_in(runs_dir) if state.can_resume]
    if not unfinished:
        raise UsageError(f"no run in {runs_dir} is unfinished", "see them all with: clfctl runs")
    newest = max(unfinished, key=lambda state: state.changed_s or 0)
    about = f"the newest unfinished run is {newest.path}: {newest.state} after {progress_words(newest)} ({newest.why})"
    if not sys.stdin.isatty():
        raise UsageError(f"no run was given; {about}", shell("resume", newest.path))
    typer.echo(f"{about[0].upper()}{about[1:]}.", err=True)
    return newest.path if typer.confirm("Go on with it?", default=True, err=True) else None
