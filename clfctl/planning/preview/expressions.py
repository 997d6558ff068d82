"""The tracks of an expression, or of a schedule that was made in Python."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from clfctl.errors import UsageError
from clfctl.planning.assumed import Case, cases_of
from clfctl.planning.moved import Moved, base_momentum
from clfctl.planning.plan import Plan, make_plan
from clfctl.planning.preview.asked import Asked
from clfctl.planning.preview.foreign import in_our_words
from clfctl.planning.preview.parameter import view
from clfctl.planning.preview.track import Track
from clfctl.planning.quantities import LEARNING_RATE
from clfctl.schedules import Schedule, Segment, Span, momentum_of, windows_of
from clfctl.schedules.cautions import Course, cautions
from clfctl.schedules.compose import looks_inside
from clfctl.schedules.stable import with_known_warmup
from clfctl.settings.groups import TrainSettings
from clfctl.settings.scaled_rate import about_scaled


def of_expression(asked: Asked, text: str) -> Iterator[Track]:
    """Yield the track of an expression, or both ends of what can happen where it depends on an unknown metric.

    It may be in the words of another library.
    """
    metrics, n = asked.metrics, asked.n_batches
    ours, expression, notes = in_our_words(asked, text)
    plan, subject = make_plan(ours.settings_of(text), n, expression), text
    if asked.quantity != LEARNING_RATE:
        plan, subject = view(plan, asked.quantity)
    notes = (*notes, *scaled_notes(ours.settings), *(() if metrics is None else _without_windows(text, plan, metrics)))
    for case in cases_of(plan) if metrics is None else [Case("", plan, metrics)]:
        length, segments = case.plan.last_epoch(case.metrics), segments_of(case.plan, case.metrics)
        track = Track(subject, case.plan, length, case.metrics, n, segments=segments, case=case.name, notes=notes)
        yield replace(track, quantity=asked.quantity)


def segments_of(plan: Plan, metrics: Sequence[float] = ()) -> tuple[Segment, ...]:
    """Return the stretches of a plan, with a warmup as long as it has been where that is recorded."""
    return tuple(with_known_warmup(plan.schedule, metrics).segments(plan.epochs))


def scaled_notes(settings: TrainSettings) -> Iterator[str]:
    """Yield what is to be said of a base rate that is scaled with the batch size."""
    if told := about_scaled(settings):
        yield f"Note: {told}."


def _without_windows(text: str, plan: Plan, metrics: Sequence[float]) -> Iterator[str]:
    if looks_inside(plan.schedule) and not windows_of(metrics):
        yield f"Note: {text} looks inside epochs, and these metrics are of whole ones: a run folder has both."


def of_schedule(asked: Asked, schedule: Schedule) -> Track:
    """Return the track of a schedule as it is. Raises UsageError if it goes by a metric and there is none."""
    settings, metrics = asked.settings, asked.metrics or ()
    plan = make_plan(settings, asked.n_batches)
    fitted = schedule.fitted(Span(settings.epochs, 0.0, asked.n_batches, plan.mode))
    of_training = settings.early_stopping, plan.mode, asked.n_batches, settings.optimizer
    found = cautions(Course(fitted, plan.base_lr, plan.epochs, *of_training))
    moved = momentum_of(fitted)
    momentum = Moved(moved, base_momentum(settings), fitted.name) if moved else plan.momentum
    plan = replace(plan, schedule=fitted, cautions=tuple(found), momentum=momentum)
    name = fitted.name
    if asked.quantity != LEARNING_RATE:
        plan, name = view(plan, asked.quantity)
        fitted = plan.schedule
    if fitted.follows_metrics and not metrics:
        hint = "say with `metrics=` what it is to see, a number for each epoch"
        raise UsageError(f"{fitted.name} goes by a metric, and none is given", hint)
    segments = tuple(fitted.segments(plan.epochs))
    epochs = plan.last_epoch(metrics)
    return Track(name, plan, epochs, metrics, asked.n_batches, segments=segments, quantity=asked.quantity)
