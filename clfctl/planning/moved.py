"""What a schedule moves beside the learning rate: momentum and weight decay, each from a base of its own."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from clfctl.errors import UsageError
from clfctl.planning.quantities import Quantity
from clfctl.schedules.averaging import Average
from clfctl.schedules.base import Rate, Schedule, Span, before
from clfctl.schedules.course import MAX_EPOCHS_SAMPLED
from clfctl.schedules.expression import parse_expression
from clfctl.schedules.momentum import momentum_of
from clfctl.settings.groups import PlanSettings

# The setting that says how much of the gradients before an optimizer keeps, and its value where it is not stated.
MOMENTA = {
    **dict.fromkeys(("sgd", "momentum", "nesterov", "sgdp", "sgdw", "muon", "nmuon", "kron"), ("momentum", 0.9)),
    **dict.fromkeys(("rmsprop", "rmsproptf", "lars", "larc", "nlars", "madgrad"), ("momentum", 0.9)),
    **dict.fromkeys(("adam", "adamw", "nadam", "nadamw", "radam", "adamax", "adamp", "adabelief"), ("beta1", 0.9)),
    **dict.fromkeys(("lamb", "lion", "adopt", "mars", "laprop"), ("beta1", 0.9)),
    "adan": ("beta1", 0.98),
}
# They have nothing of the kind.
WITHOUT = ("adadelta", "adagrad")


@dataclass(frozen=True)
class Moved:
    """A value of the optimizer that follows a fitted schedule, from its `base` on; `text` is what it was made of."""

    schedule: Schedule
    base: float
    text: str

    def given(self, metrics: Sequence[float]) -> Rate:
        """Return the value as a function of time, for an epoch at whose beginning `metrics` are known."""
        return self.schedule.given(metrics, self.base)


def moved_momentum(settings: PlanSettings, span: Span, schedule: Schedule, text: str) -> Moved | None:
    """Return what moves the momentum: an expression of its own, or the fitted `schedule` of the rate; None if nothing.

    `span` is the whole training. Raises UsageError if both do, and for values that are no momentum.
    """
    beside, own = momentum_of(schedule), settings.momentum_schedule
    if not own:
        return Moved(beside, base_momentum(settings), text) if beside else None
    if beside:
        hint = "leave out one of `momentum_schedule=` and cycle_momentum"
        raise UsageError(f"the momentum moves with {text!r} already", hint, field="momentum_schedule")
    moved = Moved(_made(own, span, "momentum_schedule"), base_momentum(settings), own)
    for t, value in _sampled(moved, span.epochs):
        if not 0 <= value < 1:
            what = f"{own!r} brings the momentum from {moved.base:g} to {value:.4g} at epoch {t:.4g}"
            raise UsageError(what, "it must stay at least 0 and below 1", field="momentum_schedule")
    return moved


def moved_decay(settings: PlanSettings, span: Span) -> Moved | None:
    """Return what moves the weight decay, None if nothing does.

    `span` is the whole training. Raises UsageError without weight decay, and for values that are none.
    """
    if not settings.weight_decay_schedule:
        return None
    if not settings.weight_decay:
        hint = "state where it begins, such as `weight_decay=0.05`"
        raise UsageError("there is no weight decay to move: it is 0", hint, field="weight_decay_schedule")
    own = settings.weight_decay_schedule
    moved = Moved(_made(own, span, "weight_decay_schedule"), settings.weight_decay, own)
    for t, value in _sampled(moved, span.epochs):
        if not math.isfinite(value):
            what = f"{own!r} brings the weight decay to {value:g} at epoch {t:.4g}"
            raise UsageError(what, "use parameters that are not so large", field="weight_decay_schedule")
    return moved


def base_momentum(settings: PlanSettings) -> float:
    """Return the momentum, or beta1, that an optimizer has where nothing moves it.

    Raises UsageError for an optimizer that has none, and for one whose own is not known here if none is stated.
    """
    name, asked_by = (
        settings.optimizer.lower(),
        "momentum_schedule" if settings.momentum_schedule else "scheduler",
    )
    if name in WITHOUT:
        raise UsageError(f"{name} has no momentum that could be moved", "use another, such as sgd", field=asked_by)
    field, own = MOMENTA.get(name, ("", 0.0))
    stated = [getattr(settings, each) for each in ("momentum", "beta1") if field in ("", each)]
    value = next((each for each in stated if each is not None), None)
    if value is not None:
        return float(value)
    if not field:
        hint = "state it with `momentum=` or `beta1=`, whichever it has"
        what = f"the momentum that {name} begins with is not known before torch is imported"
        raise UsageError(what, hint, field=asked_by)
    return own


def moves_momentum(settings: PlanSettings) -> bool:
    """Return whether a schedule moves the momentum."""
    return bool(settings.momentum_schedule) or momentum_of(parse_expression(settings.scheduler).schedule()) is not None


def idle(moved: Moved | None, quantity: Quantity, epochs: float) -> list[str]:
    """Return a sentence if a schedule never changes anything, as far as that is known without metrics."""
    if moved is None or moved.schedule.follows_metrics:
        return []
    if any(value != moved.base for _, value in _sampled(moved, epochs)):
        return []
    return [f"the {quantity.words} stays at {moved.base:g}: {moved.text!r} never changes it"]


def _made(text: str, span: Span, field: str) -> Schedule:
    expression = parse_expression(text)
    if any(call.name == Average.name and not call.library for call in expression.calls):
        what = f"{text!r} cannot average weights: that is for the learning rate's schedule"
        raise UsageError(what, "use `scheduler=` for it, and constant here", field=field)
    made = expression.schedule().fitted(replace(span, warmup=0.0))
    if momentum_of(made):
        what = f"{text!r} has cycle_momentum, which moves the momentum beside a learning rate"
        raise UsageError(what, "leave out cycle_momentum here", field=field)
    return made


def _sampled(moved: Moved, epochs: float) -> Iterator[tuple[float, float]]:
    """Yield (time, value) at the beginning and the end of epochs, as far as values are known without metrics."""
    rate, n_epochs = moved.schedule.given((), moved.base), math.ceil(epochs)
    for epoch in range(0, n_epochs, max(1, n_epochs // MAX_EPOCHS_SAMPLED)):
        yield from ((t, rate(t)) for t in (float(epoch), before(epoch + 1)))
