"""clfctl resume: go on with a run exactly where it was stopped."""

import sys
from pathlib import Path

import typer

from clfctl.commands.notes import note
from clfctl.commands.runs import progress_words
from clfctl.engine.signals import stopping_at_once
from clfctl.errors import UsageError
from clfctl.run_state import states_in, training
from clfctl.runs import RunFolder, open_run
from clfctl.settings.groups import OutputSettings


def resume(path: Path | None, runs_dir: Path, output: OutputSettings) -> None:
    """Go on with a run, with the settings that it was started with; without a path, offer the newest unfinished one."""
    chosen = path or _offer(runs_dir)
    if chosen is None:
        return
    run = open_run(chosen)
    with stopping_at_once(f"go on with: clfctl resume {run.path}"), training(run):
        _go_on(run, output)


def _go_on(run: RunFolder, output: OutputSettings) -> None:
    from clfctl.checkpoint import load_last
    from clfctl.commands.assemble import make_trainer, rebuild_parts
    from clfctl.commands.follow import complete, follow
    from clfctl.commands.train import describe_parts
    from clfctl.data.open import open_data
    from clfctl.engine.device import set_threads
    from clfctl.engine.saving import saved_settings

    checkpoint, warning = load_last(run.last)
    settings = saved_settings(checkpoint)
    warnings = [each for each in (warning, set_threads(checkpoint.meta["n_threads"])) if each]
    parts = rebuild_parts(settings, open_data(settings, settings.seed), checkpoint)
    trainer = make_trainer(parts, run, checkpoint)
    cursor, n_batches = trainer.state.cursor, trainer.train_loader.n_batches
    if trainer.is_finished():
        complete(trainer, run, output)
        how = "early stopping ended it" if trainer.stopped_early() else "all were trained"
        note(
            output,
            *warnings,
            f"{run.path} has nothing left to train: {cursor.epoch} of {settings.epochs} epochs, {how}.",
        )
        return
    batch = f"batch {cursor.batch + 1} of {n_batches}" if cursor.batch < n_batches else "its validation"
    note(output, *warnings, *describe_parts(parts), f"Run    {run.path}, from epoch {cursor.epoch + 1}, {batch}")
    follow(trainer, run, output)


def _offer(runs_dir: Path) -> Path | None:
    """Return the unfinished run that changed last, if the user wants it. Raises UsageError with nobody to ask."""
    unfinished = [state for state in states_in(runs_dir) if state.can_resume]
    if not unfinished:
        raise UsageError(f"no run in {runs_dir} is unfinished", "see them all with: clfctl runs")
    newest = max(unfinished, key=lambda state: state.changed_s or 0)
    about = f"the newest unfinished run is {newest.path}: {newest.state} after {progress_words(newest)} ({newest.why})"
    if not sys.stdin.isatty():
        raise UsageError(f"no run was given; {about}", f"clfctl resume {newest.path}")
    typer.echo(f"{about[0].upper()}{about[1:]}.", err=True)
    return newest.path if typer.confirm("Go on with it?", default=True, err=True) else None
