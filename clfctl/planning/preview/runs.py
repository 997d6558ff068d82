"""The track of a run: what it has used, and what is to come."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clfctl.data.sources.batches import batches_per_epoch
from clfctl.errors import UsageError
from clfctl.planning.changes import NEW_BATCHES
from clfctl.planning.history import RunHistory, run_history
from clfctl.planning.place import place_of
from clfctl.planning.plan import make_plan
from clfctl.planning.preview.applied import Applied
from clfctl.planning.preview.asked import Asked
from clfctl.planning.preview.expressions import scaled_notes, segments_of
from clfctl.planning.preview.parameter import Group, as_recorded, groups_of_run, used_of, view
from clfctl.planning.preview.track import Track
from clfctl.planning.quantities import LEARNING_RATE
from clfctl.runs.folder import open_run
from clfctl.runs.rates import read_rates
from clfctl.schedules.recorded import Window
from clfctl.settings.groups import TrainSettings

# Settings that divide parameters into groups.
GROUPING = ("freeze", "unfreeze_at", "backbone_lr_scale", "layer_decay")


def of_run(asked: Asked, past: RunHistory, settings: TrainSettings, n_batches: int | None) -> Track:
    """Return what a run has used and what is to come, with the settings that it goes on with.

    `n_batches` are those of an epoch from here on.
    """
    history, saved = past.history, past.header.going_on() if past.header else None
    metrics, t = past.metrics(settings.monitor), goes_on_at(past, settings)
    plan, quantity = make_plan(settings, n_batches, trained=t), asked.quantity
    records = [{"lr_start": each.lr_start, "lr": each.lr, **each.moved} for each in history]
    if quantity != LEARNING_RATE:
        plan, _ = view(as_recorded(plan, quantity, settings, history), quantity)
    used = tuple(used_of(each, quantity, plan.base_lr) for each in records)
    last_lr = used[-1][1] if used else 0.0
    if saved and past.position > len(used):
        last_lr = used_of({"lr": saved.lr, **saved.moved}, quantity, plan.base_lr)[1]
    epochs = max(len(used), plan.last_epoch(metrics))
    running = saved.rates if saved and t == past.position else ()
    return Track(
        str(past.run.path),
        plan,
        epochs,
        metrics,
        n_batches,
        used,
        t,
        last_lr,
        segments_of(plan, metrics),
        notes=(*past.notes, *_about_batches(asked, past, settings), *scaled_notes(settings)),
        applied=_applied(past, running, metrics.windows) if quantity == LEARNING_RATE else None,
        quantity=quantity,
    )


def goes_on_at(past: RunHistory, settings: TrainSettings) -> float:
    """Return where a run would go on with the settings, in epochs: an epoch with other batches is begun again."""
    is_other = any(getattr(settings, name) != getattr(past.settings, name) for name in NEW_BATCHES)
    return float(len(past.history)) if is_other else past.position


def batches_ahead(asked: Asked, past: RunHistory, settings: TrainSettings) -> int | None:
    """Return the batches of an epoch with the settings that a run goes on with, None if that is not known.

    Raises UsageError or DataError where the batch size is another one, and its images are not there to be counted.
    """
    if past.header is None or settings.batch_size == past.settings.batch_size:
        return past.n_batches or asked.n_batches
    if asked.are_stated:
        return asked.n_batches
    place = place_of(past.run, past.header)
    here = place.here(settings)
    with place.explaining(past.run, here, "lr-preview"):
        return batches_per_epoch(here, here.seed, lambda _: None)


def _about_batches(asked: Asked, past: RunHistory, settings: TrainSettings) -> Iterator[str]:
    """Yield a sentence where another number of batches is stated than the run goes on with."""
    if asked.are_stated and asked.n_batches != (n := batches_ahead(asked, past, settings)):
        what = f"an epoch of {past.run.path} has {n} batches, and keeps them"
        yield f"Note: {what}: `steps_per_epoch={asked.n_batches}` counts with `batch_size=` of another size."


def _applied(past: RunHistory, running: Sequence[Mapping[str, Any]], windows: tuple[Window, ...]) -> Applied | None:
    """Return the run's record of its learning rates, with that of the running epoch; None of an older run."""
    stretches = tuple(read_rates(past.run, running))
    changes = past.header.going_on().changes if past.header else ()
    return Applied(stretches, past.history, past.settings, changes, windows) if stretches else None


def groups_of(asked: Asked, folder: Path) -> tuple[Group, ...]:
    """Return the param groups of a run. Raises UsageError where what was typed would make others."""
    for name in GROUPING:
        if asked.resolved.ranks[name] == 0:
            hint = f"leave out `{name}=`, or preview a schedule with it"
            raise UsageError(f"the param groups of {folder} are shown as they are", hint, field=name)
    return groups_of_run(run_history(open_run(folder)).header)
