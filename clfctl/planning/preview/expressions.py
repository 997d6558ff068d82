"""The tracks of an expression, or of a schedule that was made in Python."""

from collections.abc import Iterator
from dataclasses import replace

from clfctl.errors import UsageError
from clfctl.planning.moved import Moved, base_momentum
from clfctl.planning.plan import Plan, make_plan
from clfctl.planning.preview.asked import Asked
from clfctl.planning.preview.foreign import in_our_words
from clfctl.planning.preview.parameter import view
from clfctl.planning.preview.track import Track
from clfctl.planning.quantities import LEARNING_RATE
from clfctl.schedules import Schedule, Span, momentum_of
from clfctl.schedules.cautions import Course, cautions

# So far apart that every threshold counts them as an improvement.
STRIDE = 10**6


def of_expression(asked: Asked, text: str) -> Iterator[Track]:
    """Yield the track of an expression, or both ends of what can happen where it depends on an unknown metric.

    It may be in the words of another library.
    """
    metrics, n = asked.metrics, asked.n_batches
    ours, expression, notes = in_our_words(asked, text)
    plan, subject = make_plan(ours.settings_of(text), n, expression), text
    if asked.quantity != LEARNING_RATE:
        plan, subject = view(plan, asked.quantity)
    segments = tuple(plan.schedule.segments(plan.epochs))
    track = Track(subject, plan, plan.epochs, n_batches=n, segments=segments, quantity=asked.quantity, notes=notes)
    if metrics is not None:
        yield replace(track, epochs=plan.last_epoch(metrics), metrics=metrics)
    elif not plan.schedule.follows_metrics:
        yield track
    else:
        for case, known in (("never improving", worsening(plan)), ("improving every epoch", improving(plan))):
            yield replace(track, epochs=plan.last_epoch(known), metrics=known, case=case)


def improving(plan: Plan) -> range:
    """Return a metric that improves every epoch by more than any threshold, relative or absolute."""
    # Below 0 a relative threshold asks for nothing: the bar lies on the other side of the best value.
    worst = STRIDE if plan.mode == "min" else STRIDE * plan.epochs
    step = -STRIDE if plan.mode == "min" else STRIDE
    return range(-worst, -worst + step * plan.epochs, step)


def worsening(plan: Plan) -> range:
    """Return a metric that is best in the first epoch."""
    return range(1, 1 + plan.epochs) if plan.mode == "min" else range(-1, -1 - plan.epochs, -1)


def of_schedule(asked: Asked, schedule: Schedule) -> Track:
    """Return the track of a schedule as it is. Raises UsageError if it goes by a metric and there is none."""
    settings, metrics = asked.settings, asked.metrics or ()
    plan = make_plan(settings, asked.n_batches)
    fitted = schedule.fitted(Span(settings.epochs, 0.0, asked.n_batches, plan.mode))
    of_training = settings.early_stopping, plan.mode, asked.n_batches, settings.optimizer
    found = cautions(Course(fitted, settings.lr, plan.epochs, *of_training))
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
    epochs, known = plan.last_epoch(metrics), tuple(metrics)
    return Track(name, plan, epochs, known, asked.n_batches, segments=segments, quantity=asked.quantity)
