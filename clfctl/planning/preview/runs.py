"""The track of a run: what it has used, and what is to come."""

from pathlib import Path

from clfctl.errors import UsageError
from clfctl.planning.changes import change_settings, stated_in
from clfctl.planning.history import RunHistory, run_history
from clfctl.planning.plan import make_plan
from clfctl.planning.preview.applied import Applied
from clfctl.planning.preview.asked import Asked
from clfctl.planning.preview.expressions import segments_of
from clfctl.planning.preview.parameter import Group, as_recorded, groups_of_run, used_of, view
from clfctl.planning.preview.track import Track
from clfctl.planning.quantities import LEARNING_RATE
from clfctl.runs.folder import open_run
from clfctl.runs.rates import read_rates
from clfctl.schedules.recorded import Window
from clfctl.settings.groups import TrainSettings

# Settings that divide parameters into groups.
GROUPING = ("freeze", "unfreeze_at", "backbone_lr_scale", "layer_decay")


def of_run(asked: Asked, folder: Path, going_on: TrainSettings | None = None) -> Track:
    """Return what a run has used and what is to come; changed options show what resuming with them would do.

    `going_on` are the settings that it goes on with, None: what is typed in the place of its own.
    """
    past = run_history(open_run(folder))
    history, saved = past.history, past.header.going_on() if past.header else None
    stated = stated_in(asked.resolved)
    where = next((asked.resolved.origins[name] for name in stated), "")
    settings = going_on or change_settings(past.settings, stated, where)[0]
    metrics = past.metrics(settings.monitor)
    n_batches = past.n_batches or asked.n_batches
    plan, quantity = make_plan(settings, n_batches, trained=past.position), asked.quantity
    records = [{"lr_start": each.lr_start, "lr": each.lr, **each.moved} for each in history]
    if quantity != LEARNING_RATE:
        plan, _ = view(as_recorded(plan, quantity, settings, history), quantity)
    used = tuple(used_of(each, quantity, plan.base_lr) for each in records)
    begins, last_lr = float(len(used)), used[-1][1] if used else 0.0
    if saved and saved.position.epoch == len(used) and saved.position.batch:
        begins += saved.position.batch / saved.position.n_batches
        last_lr = used_of({"lr": saved.lr, **saved.moved}, quantity, plan.base_lr)[1]
    epochs = max(len(used), plan.last_epoch(metrics))
    return Track(
        str(folder),
        plan,
        epochs,
        metrics,
        n_batches,
        used,
        begins,
        last_lr,
        segments_of(plan, metrics),
        notes=past.notes,
        applied=_applied(past, metrics.windows) if quantity == LEARNING_RATE else None,
        quantity=quantity,
    )


def _applied(past: RunHistory, windows: tuple[Window, ...]) -> Applied | None:
    """Return the run's record of its learning rates; None of an older run, which has none."""
    saved = past.header.going_on() if past.header else None
    stretches = tuple(read_rates(past.run, saved.rates if saved else ()))
    changes = saved.changes if saved else ()
    return Applied(stretches, past.history, past.settings, changes, windows) if stretches else None


def groups_of(asked: Asked, folder: Path) -> tuple[Group, ...]:
    """Return the param groups of a run. Raises UsageError where what was typed would make others."""
    for name in GROUPING:
        if asked.resolved.ranks[name] == 0:
            hint = f"leave out `{name}=`, or preview a schedule with it"
            raise UsageError(f"the param groups of {folder} are shown as they are", hint, field=name)
    return groups_of_run(run_history(open_run(folder)).header)
