"""The track of a run: what it has used, and what is to come."""

import math
from collections.abc import Sequence
from pathlib import Path

from clfctl.errors import UsageError
from clfctl.planning.changes import change_settings, stated_in
from clfctl.planning.plan import make_plan
from clfctl.planning.preview.applied import Applied
from clfctl.planning.preview.asked import Asked
from clfctl.planning.preview.track import Track
from clfctl.runs.folder import RunFolder, open_run
from clfctl.runs.header import Header, Resumption, last_or_previous, read_last
from clfctl.runs.history import EpochResult, check_measured, read_history
from clfctl.runs.rates import read_rates
from clfctl.settings.groups import TrainSettings
from clfctl.settings.older import read_older, read_older_config
from clfctl.storage.json_lines import read_json_lines


def of_run(asked: Asked, folder: Path) -> Track:
    """Return what a run has used and what is to come; changed options show what resuming with them would do."""
    run = open_run(folder)
    header = _header_of(run)
    saved = header.going_on() if header else None
    before, notes = read_older(header.settings, run.last) if header else read_older_config(run.config)
    stated = stated_in(asked.resolved)
    where = next((asked.resolved.origins[name] for name in stated), "")
    settings, _ = change_settings(before, stated, where)
    # A run that is not saved at every epoch has a history that is newer than its checkpoint.
    history = max(read_history(read_json_lines(run.history), run.history), header.history if header else [], key=len)
    if settings.monitor != before.monitor:
        check_measured(history, settings.monitor)
        if history and all(math.isnan(result.metric(settings.monitor)) for result in history):
            hint = "it has no validation images, or too few classes for it; `clfctl resume` refuses it too"
            raise UsageError(f"no epoch of {folder} has a {settings.monitor}", hint, field="monitor")
    metrics = tuple(result.metric(settings.monitor) for result in history)
    used = tuple((result.lr_start, result.lr) for result in history)
    begins, last_lr = float(len(used)), used[-1][1] if used else 0.0
    if saved and saved.position.epoch == len(used) and saved.position.batch:
        begins += saved.position.batch / saved.position.n_batches
        last_lr = saved.lr
    n_batches = saved.position.n_batches if saved else asked.n_batches
    plan = make_plan(settings, n_batches)
    epochs = max(len(used), plan.last_epoch(metrics))
    segments = tuple(plan.schedule.segments(plan.epochs))
    return Track(
        str(folder),
        plan,
        epochs,
        metrics,
        n_batches,
        used,
        begins,
        last_lr,
        segments,
        notes=notes,
        applied=_applied(run, before, saved, history),
    )


def _applied(
    run: RunFolder, settings: TrainSettings, saved: Resumption | None, history: Sequence[EpochResult]
) -> Applied | None:
    """Return the run's record of its learning rates; None of an older run, which has none."""
    stretches = tuple(read_rates(run, saved.rates if saved else ()))
    return Applied(stretches, history, settings, saved.changes if saved else ()) if stretches else None


def _header_of(run: RunFolder) -> Header | None:
    """Return what the last checkpoint says, or its predecessor; None if neither can be read: its plan still can."""
    try:
        return last_or_previous(run.last, read_last, (OSError, ValueError))[0]
    except (OSError, ValueError):
        return None
