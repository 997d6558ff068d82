"""The track of a run: what it has used, and what is to come."""

import math
from collections.abc import Sequence
from pathlib import Path

from clfctl.errors import UsageError
from clfctl.planning.changes import change_settings, stated_in
from clfctl.planning.plan import make_plan
from clfctl.planning.preview.applied import Applied
from clfctl.planning.preview.asked import Asked
from clfctl.planning.preview.parameter import Group, as_recorded, groups_of_run, used_of, view
from clfctl.planning.preview.track import Track
from clfctl.planning.quantities import LEARNING_RATE
from clfctl.runs.folder import RunFolder, open_run
from clfctl.runs.header import Header, Resumption, last_or_previous, read_last
from clfctl.runs.history import EpochResult, check_measured, read_history
from clfctl.runs.rates import read_rates
from clfctl.settings.groups import TrainSettings
from clfctl.settings.older import read_older, read_older_config
from clfctl.storage.json_lines import read_json_lines

# Settings that divide parameters into groups.
GROUPING = ("freeze", "unfreeze_at", "backbone_lr_scale", "layer_decay")


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
    n_batches = saved.position.n_batches if saved else asked.n_batches
    plan, quantity = make_plan(settings, n_batches), asked.quantity
    records = [{"lr_start": each.lr_start, "lr": each.lr, **each.moved} for each in history]
    if quantity != LEARNING_RATE:
        plan, _ = view(as_recorded(plan, quantity, settings, history), quantity)
    used = tuple(used_of(each, quantity, plan.base_lr) for each in records)
    begins, last_lr = float(len(used)), used[-1][1] if used else 0.0
    if saved and saved.position.epoch == len(used) and saved.position.batch:
        begins += saved.position.batch / saved.position.n_batches
        last_lr = used_of({"lr": saved.lr, **saved.moved}, quantity, plan.base_lr)[1]
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
        applied=_applied(run, before, saved, history) if quantity == LEARNING_RATE else None,
        quantity=quantity,
    )


def _applied(
    run: RunFolder, settings: TrainSettings, saved: Resumption | None, history: Sequence[EpochResult]
) -> Applied | None:
    """Return the run's record of its learning rates; None of an older run, which has none."""
    stretches = tuple(read_rates(run, saved.rates if saved else ()))
    return Applied(stretches, history, settings, saved.changes if saved else ()) if stretches else None


def groups_of(asked: Asked, folder: Path) -> tuple[Group, ...]:
    """Return the param groups of a run. Raises UsageError where what was typed would make others."""
    for name in GROUPING:
        if asked.resolved.ranks[name] == 0:
            hint = f"leave out `{name}=`, or preview a schedule with it"
            raise UsageError(f"the param groups of {folder} are shown as they are", hint, field=name)
    return groups_of_run(_header_of(open_run(folder)))


def _header_of(run: RunFolder) -> Header | None:
    """Return what the last checkpoint says, or its predecessor; None if neither can be read: its plan still can."""
    try:
        return last_or_previous(run.last, read_last, (OSError, ValueError))[0]
    except (OSError, ValueError):
        return None
