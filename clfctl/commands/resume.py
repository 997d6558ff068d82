"""clfctl resume: go on with a run exactly where it was stopped."""

from pathlib import Path

from clfctl.commands.notes import note
from clfctl.runs import open_run
from clfctl.settings.groups import OutputSettings


def resume(path: Path, output: OutputSettings) -> None:
    """Go on with a run, with the settings that it was started with."""
    run = open_run(path)
    from clfctl.checkpoint import load_last
    from clfctl.commands.assemble import make_trainer, rebuild_parts
    from clfctl.commands.follow import follow
    from clfctl.commands.train import describe_parts
    from clfctl.data.open import open_data
    from clfctl.engine.device import set_threads
    from clfctl.engine.saving import saved_settings

    checkpoint, warning = load_last(run.last)
    settings = saved_settings(checkpoint)
    warnings = [each for each in (warning, set_threads(checkpoint.meta["n_threads"])) if each]
    parts = rebuild_parts(settings, open_data(settings, settings.seed), checkpoint)
    trainer = make_trainer(parts, run, checkpoint)
    cursor = trainer.state.cursor
    if trainer.is_finished():
        how = "early stopping ended it" if trainer.stopped_early() else "all were trained"
        note(
            output,
            *warnings,
            f"{run.path} has nothing left to train: {cursor.epoch} of {trainer.plan.epochs} epochs, {how}.",
        )
        return
    where = f"from epoch {cursor.epoch + 1}, batch {cursor.batch + 1} of {trainer.train_loader.n_batches}"
    note(output, *warnings, *describe_parts(parts), f"Run    {run.path}, {where}")
    follow(trainer, run, output)
