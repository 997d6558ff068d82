"""clfctl resume: go on with a run exactly where it was stopped, or with changes that are shown first."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from clfctl.commands.runs import progress_words
from clfctl.display.notes import note
from clfctl.display.seam import seam_lines
from clfctl.engine.signals import stopping_at_once
from clfctl.errors import DataError, UsageError
from clfctl.planning.changes import Change, change_settings
from clfctl.planning.plan import make_plan, refuse_cautions
from clfctl.runs.folder import RunFolder, open_run
from clfctl.runs.history import check_measured
from clfctl.runs.state import held, states_in
from clfctl.settings.groups import OutputSettings, TrainSettings
from clfctl.storage.json_lines import write_json_lines

if TYPE_CHECKING:
    from clfctl.data.sources.base import Data
    from clfctl.data.sources.fingerprint import DataChange
    from clfctl.engine.trainer import Trainer
    from clfctl.runs.checkpoint import Checkpoint

# Settings that decide which images make which batch.
NEW_BATCHES = ("batch_size", "balance")


def resume(
    path: Path | None, runs_dir: Path, stated: Mapping[str, Any], output: OutputSettings, *, allow_data_change: bool
) -> None:
    """Go on with a run, or with the newest unfinished one if the user wants it; `stated` settings replace its own."""
    chosen = path or _offer(runs_dir)
    if chosen is None:
        return
    run = open_run(chosen)
    with stopping_at_once(f"go on with: clfctl resume {run.path}"), held(run):
        _go_on(run, stated, output, allow_data_change)


def _go_on(run: RunFolder, stated: Mapping[str, Any], output: OutputSettings, allow_data_change: bool) -> None:
    from clfctl.commands.follow import complete, describe_parts, follow, warnings_of
    from clfctl.data.cache.make import cached_sources
    from clfctl.data.sources.open import open_data
    from clfctl.display.progress import onlookers
    from clfctl.engine.assemble import make_trainer, rebuild_parts
    from clfctl.engine.device import set_threads
    from clfctl.engine.optimizer_state import kept_decay
    from clfctl.engine.saving import saved_settings
    from clfctl.runs.checkpoint import load_last

    checkpoint, warning = load_last(run.last)
    saved = saved_settings(checkpoint)
    settings, changes = change_settings(saved, stated)
    if settings.monitor != saved.monitor:
        check_measured(checkpoint.header.history, settings.monitor)
    data = open_data(settings, settings.seed)
    data_change = _data_change(run, data, settings, checkpoint, allow_data_change)
    # The batches of an epoch are others: those that were trained cannot be counted among them.
    is_other = bool(data_change) or any(change.name in NEW_BATCHES for change in changes)
    restarts = is_other and bool(checkpoint.resumption.position.batch)
    told = (warning, set_threads(checkpoint.header.n_threads), kept_decay(saved, checkpoint))
    warnings = [each for each in told if each]
    parts = rebuild_parts(settings, data, checkpoint)
    trainer = make_trainer(parts, run, checkpoint, restarts_epoch=restarts)
    refuse_cautions(settings, trainer.plan)
    if trainer.is_finished() and not (changes or data_change):
        complete(trainer, run, output)
        note(output, *warnings, _nothing_left(run, trainer))
        return
    note(output, *warnings, *describe_parts(parts), f"Run    {run.path}, {_where(trainer, restarts)}")
    if changes or data_change:
        old_plan = make_plan(saved, checkpoint.resumption.position.n_batches)
        note(output, *_changed(changes, data_change), *seam_lines(trainer, old_plan, checkpoint.resumption.lr))
    if not trainer.is_finished():
        # Before the change is kept: a cache for which there is no room is not asked for again at the next resume.
        sources = cached_sources(settings, data, parts.built.preprocess, onlookers(output))
        trainer.read_from(sources.train, sources.val)
    if changes or data_change:
        _keep(run, trainer, data, changes, data_change)
    note(output, *warnings_of(trainer.plan))
    if trainer.is_finished():
        note(output, _nothing_left(run, trainer))
        return
    follow(trainer, run, output)


def _data_change(
    run: RunFolder, data: "Data", settings: TrainSettings, checkpoint: "Checkpoint", is_allowed: bool
) -> "DataChange":
    """Return how the images differ from those that the run began with. Raises DataError where that is not allowed."""
    from clfctl.data.sources.fingerprint import DataChange, compare, list_images, read_listing

    before = checkpoint.header.classes
    if data.classes != before:
        more, less = sorted(set(data.classes) - set(before)), sorted(set(before) - set(data.classes))
        parts = [f"{what}: {', '.join(each)}" for what, each in (("new", more), ("missing", less)) if each]
        hint = (
            "the model has one output for each class it began with; train a new run, from these weights with --weights"
        )
        raise DataError(f"--data: the class folders of {settings.data} are others now ({'; '.join(parts)})", hint)
    now = list_images(data, settings.data)
    try:
        change = compare(read_listing(run.data), now)
    except DataError:
        if not is_allowed:
            raise
        change = DataChange((), (), ())
    if change and not is_allowed:
        hint = "images kept for validation may have been trained on; go on all the same with --allow-data-change"
        raise DataError(f"--data: {settings.data} has changed since the run began: {change}", hint)
    return change


def _keep(
    run: RunFolder, trainer: "Trainer", data: "Data", changes: Sequence[Change], data_change: "DataChange"
) -> None:
    """Record the change before anything is trained with it: in the checkpoint, which decides, then in the files."""
    from clfctl.data.sources.fingerprint import list_images, write_listing
    from clfctl.settings.dump import saved_config
    from clfctl.storage.files import write_text

    state = trainer.state
    record: dict[str, Any] = {"epoch": state.cursor.epoch, "batch": state.cursor.batch}
    values = state.settings.model_dump(mode="json")
    record["settings"] = {each.name: {"old": _plain(each.old), "new": values[each.name]} for each in changes}
    if data_change:
        names = ("added", "removed", "replaced")
        record["data"] = {name: len(getattr(data_change, name)) for name in names}
    state.changes.append(record)
    trainer.save_last()
    write_json_lines(run.changes, state.changes)
    write_text(run.config, saved_config(state.settings))
    if data_change:
        write_listing(run.data, list_images(data, state.settings.data))


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _changed(changes: Sequence[Change], data_change: "DataChange") -> list[str]:
    lines = [f"Change {change}" for change in changes]
    return [*lines, f"Change images: {data_change}"] if data_change else lines


def _where(trainer: "Trainer", restarts: bool) -> str:
    cursor, n_batches = trainer.state.cursor, trainer.train_loader.n_batches
    batch = f"batch {cursor.batch + 1} of {n_batches}" if cursor.batch < n_batches else "its validation"
    again = ", which begins again since its batches are others now" if restarts else ""
    return f"from epoch {cursor.epoch + 1}, {batch}{again}"


def _nothing_left(run: RunFolder, trainer: "Trainer") -> str:
    how = "early stopping ended it" if trainer.stopped_early() else "all were trained"
    done = f"{trainer.state.cursor.epoch} of {trainer.plan.epochs} epochs, {how}"
    longer = "--early-stopping 0" if trainer.stopped_early() else "--epochs N"
    return f"{run.path} has nothing left to train: {done}. To train on: clfctl resume {run.path} {longer}"


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
