"""A run as it stands, for what only looks at it: nothing of the run is locked, changed or put aside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import Parts, rebuild_parts
from clfctl.engine.data_change import data_change
from clfctl.engine.device import set_threads
from clfctl.engine.saving import saved_settings
from clfctl.engine.teacher import check_teacher
from clfctl.engine.trainer import Trainer
from clfctl.errors import DamagedError, UsageError
from clfctl.planning.changes import change_settings
from clfctl.planning.place import place_of
from clfctl.runs.best import gone_best
from clfctl.runs.checkpoint import Checkpoint, load_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import last_or_previous
from clfctl.runs.history import EpochResult
from clfctl.settings.sources import TYPED


def look_into(
    run: RunFolder,
    changes: Mapping[str, Any] | None = None,
    where: str = TYPED,
    *,
    file: Path | None = None,
    allow_data_change: bool = False,
) -> tuple[Parts, Checkpoint]:
    """Return the parts of a run as `resume` would have them, with `changes` of its settings, and its last checkpoint.

    `file` is another checkpoint of it that a run can go on from. torch computes with the run's threads from then on.
    Raises ClfctlError.
    """
    checkpoint = load_checkpoint(file) if file else last_or_previous(run.last, load_checkpoint, DamagedError)[0]
    settings = place_of(run, checkpoint.header).here(saved_settings(checkpoint)[0])
    settings, _ = change_settings(settings, changes or {}, where)
    data = open_data(settings, settings.seed)
    data_change(run, data, settings, checkpoint, is_allowed=allow_data_change)
    parts = rebuild_parts(settings, data, checkpoint)
    if "distill" not in (changes or {}):
        check_teacher(run, parts.lesson)
    set_threads(checkpoint.header.n_threads)
    return parts, checkpoint


def other_processes(before: int, now: int) -> str:
    """Return a sentence if another number of processes goes on."""
    if before == now:
        return ""
    number = f"{before} process{'es' * (before != 1)} trained the run until now, and {now} go{'es' * (now == 1)} on"
    return f"Note: {number}: the same batches at the same rates; the last bits of the weights may differ."


def check_epochs(trainer: Trainer) -> None:
    """Raise UsageError if more epochs are trained than are planned: they cannot be taken back."""
    trained, planned = trainer.state.cursor.epoch, trainer.plan.epochs
    if trained > planned:
        hint = f"`epochs={trainer.state.settings.epochs + trained - planned}` ends it here, more trains on"
        raise UsageError(f"{trained} epochs are trained already, more than {planned}", hint, field="epochs")


def gone(trainer: Trainer, kept: EpochResult | None) -> str:
    """Return a sentence if an epoch is better than the one that is kept, by what best goes by now."""
    criterion = trainer.criterion()
    better = gone_best(trainer.state.cursor.history, criterion)
    if not better or not kept:
        return ""
    what = f"by {criterion.metric} epoch {better.epoch} is the best so far, but its weights were not kept"
    return f"Note: {what}; the best checkpoint is that of epoch {kept.epoch} until a later one is better."
