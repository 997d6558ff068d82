"""From settings to the learning rate of a whole training: what train, resume and lr-preview all go by."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from clfctl.errors import UsageError
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.planning.moved import Moved, idle, moved_decay, moved_momentum
from clfctl.planning.quantities import MOMENTUM, WEIGHT_DECAY, Quantity
from clfctl.schedules.averaging import averages_from
from clfctl.schedules.base import Mode, Schedule, Span
from clfctl.schedules.catalog import KINDS, kind_options, kinds_with
from clfctl.schedules.cautions import Course, cautions
from clfctl.schedules.compose import Warmup
from clfctl.schedules.cooldown import Cooldown, lowest_rate
from clfctl.schedules.durations import Duration, parse_duration
from clfctl.schedules.expression import Expression, parse_expression
from clfctl.schedules.own import own_schedules
from clfctl.schedules.parameters import Parameter, fit_value, parameters_of
from clfctl.schedules.recorded import TOLERANCE
from clfctl.schedules.stable import STABLE, begun_after, parse_stable, stable_in, stable_warmup
from clfctl.schedules.stopping import fired_after
from clfctl.settings.data_defaults import is_usual
from clfctl.settings.groups import PlanSettings
from clfctl.settings.optimization import MAX_EPOCHS
from clfctl.settings.scaled_rate import base_lr_of
from clfctl.settings.schedule import AUTO
from clfctl.settings.sources import Resolved
from clfctl.settings.words import value_in_words

P = TypeVar("P", bound=PlanSettings)

EXPONENTIAL_START = 0.01
# Decay of the second moment, the default of torch's and timm's classes: what `--warmup auto` is made of.
BETA2 = dict.fromkeys(("adam", "adamw", "nadam", "nadamw", "adamax", "lamb", "adabelief"), 0.999)


class Values(NamedTuple):
    """What the plan sets at a step: the base learning rate, and what else follows a schedule; None: nothing moves it.

    `momentum` is that of SGD and its like, or Adam's beta1; `weight_decay` is that of the groups with all of it.
    """

    lr: float
    momentum: float | None = None
    weight_decay: float | None = None


@dataclass(frozen=True)
class Plan:
    """The learning rate of a training from its first to its last step.

    `epochs` are all that are planned, including a warmup beside those of the settings. `cautions` say what is likely to
    be a mistake; `mode` says whether a smaller or a larger metric is better. `momentum` and `weight_decay` are what
    moves these, None where they stay as they are.
    """

    schedule: Schedule
    base_lr: float
    epochs: int
    mode: Mode
    early_stopping: int
    cooldown: int
    cautions: tuple[str, ...]
    momentum: Moved | None = None
    weight_decay: Moved | None = None

    def given(self, metrics: Sequence[float]) -> Callable[[float], Values]:
        """Return the values of every step of an epoch by its time, given the metric of every finished epoch."""
        rate = self.schedule.given(metrics, self.base_lr)
        if not self.momentum and not self.weight_decay:
            return lambda t: Values(rate(t))
        momentum, decay = (each.given(metrics) if each else None for each in (self.momentum, self.weight_decay))
        return lambda t: Values(rate(t), momentum and momentum(t), decay and decay(t))

    def values(self, t: float, metrics: Sequence[float] = ()) -> Values:
        """Return the values of the step at `t` epochs, given the metric of every finished epoch."""
        return self.given(metrics)(t)

    def lr(self, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate at `t` epochs, given the metric of every finished epoch."""
        return self.schedule.lr(self.base_lr, t, metrics)

    def next_look(self, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the first time after `t`, in epochs, at which what batches showed may change what is set; else inf."""
        schedules = [self.schedule, *(moved.schedule for moved in self.moved().values())]
        return min(schedule.next_look(t, metrics) for schedule in schedules)

    def moved(self) -> dict[Quantity, Moved]:
        """Return what follows a schedule beside the learning rate."""
        found = {MOMENTUM: self.momentum, WEIGHT_DECAY: self.weight_decay}
        return {quantity: moved for quantity, moved in found.items() if moved}

    def stopped_after(self, metrics: Sequence[float]) -> int | None:
        """Return after how many epochs early stopping fires, None if it does not."""
        return fired_after(metrics, self.early_stopping, self.mode)

    def averages_from(self) -> int | None:
        """Return after how many epochs weights are averaged, at the end of each epoch from there on; None: never."""
        return averages_from(self.schedule, self.epochs)

    def last_epoch(self, metrics: Sequence[float]) -> int:
        """Return how many epochs are trained in all, as far as the metrics say."""
        fired = self.stopped_after(metrics)
        return self.epochs if fired is None else min(self.epochs, fired + self.cooldown)


def make_plan(settings: PlanSettings, steps_per_epoch: int | None = None, text: str = "", trained: float = 0.0) -> Plan:
    """Return the plan of a training; `text` is an expression that replaces the one of the settings.

    What ends before the epochs that are `trained` is nothing to warn of any more.

    Raises UsageError if the schedule depends on the number of batches in an epoch and that is not given.
    """
    expression = parse_expression(text or settings.scheduler)
    base_lr, span = base_lr_of(settings), Span(settings.epochs, 0.0, steps_per_epoch, mode_of(settings.monitor))
    warmup, notes = _warmup_epochs(settings, span)
    if settings.epochs + warmup > MAX_EPOCHS:
        raise UsageError(f"the plan has more than {MAX_EPOCHS:,} epochs, which is the limit", field="epochs")
    epochs = settings.epochs if settings.warmup_inside else settings.epochs + math.ceil(warmup)
    schedule = _with_warmup(settings, expression.schedule(_stated(settings)), span, warmup)
    if settings.cooldown and settings.early_stopping:
        lowest = lowest_rate(schedule) if settings.eta_min is None else settings.eta_min
        schedule = Cooldown(schedule, settings.cooldown, settings.early_stopping, span.mode, lowest, epochs)
    elif settings.cooldown:
        notes.append("`cooldown=` does nothing without `early_stopping=`")
    if settings.warmup_start is not None and not warmup:
        notes.append("`warmup_start=` does nothing without `warmup=`")
    notes += _of_stable(schedule, epochs)
    for of_user in own_schedules(schedule):
        of_user.try_out(base_lr, epochs)
    stopping = settings.early_stopping, settings.cooldown
    by_nobody = not text and is_usual(settings, "scheduler", "step_size")
    of_training = stopping[0], span.mode, steps_per_epoch, settings.optimizer, trained, by_nobody
    notes += cautions(Course(schedule, base_lr, epochs, *of_training))
    whole = replace(span, epochs=epochs)
    momentum, decay = moved_momentum(settings, whole, schedule, expression.text), moved_decay(settings, whole)
    notes += [*idle(momentum, MOMENTUM, epochs), *idle(decay, WEIGHT_DECAY, epochs)]
    return Plan(schedule, base_lr, epochs, span.mode, *stopping, tuple(notes), momentum, decay)


def refuse_cautions(settings: PlanSettings, plan: Plan) -> None:
    """Raise UsageError for the first caution if `strict` is set."""
    if settings.strict and plan.cautions:
        first, *others = plan.cautions
        more = f" (and {len(others)} more)" if others else ""
        hint = "change the schedule, or leave out `strict=` to see all warnings"
        raise UsageError(f"{first}{more}", hint, field="strict")


def mode_of(monitor: str) -> Mode:
    """Return whether a smaller or a larger value of the metric is better."""
    return METRICS[monitor].mode


def keep_fitting(resolved: Resolved[P], texts: Sequence[str] = ()) -> Resolved[P]:
    """Return the settings without the schedule parameters that none of the schedules has.

    One stated in the source of the schedule, or in a stronger one, is a mistake: UsageError. A weaker source meant
    another schedule: a recipe's `t_max` is dropped if the command line says `step`. `texts` are expressions from the
    command line, instead of the one in the settings.
    """
    expressions = [parse_expression(text) for text in texts or [resolved.settings.scheduler]]
    rank = 0 if texts else resolved.ranks["scheduler"]
    kinds = dict.fromkeys(each.kind for each in expressions if each.kind)
    for parameter in (each for kind in kinds for each in parameters_of(KINDS[kind]) if each.older):
        is_shared = any(kind in kinds for kind, _ in kinds_with(parameter.older))
        resolved = _with_older(resolved, parameter, rank, is_shared=is_shared)
    settings = resolved.settings
    unused: dict[str, Any] = {}
    for option in kind_options():
        value = getattr(settings, option)
        if value is None or (option == "eta_min" and settings.cooldown):
            continue
        names = {name: parameter.name for name, parameter in kinds_with(option)}
        takers = [each for each in expressions if each.kind in names]
        stated = [each for each in takers if names[each.kind] in each.calls[0].arguments]
        if takers and len(stated) < len(takers):
            continue
        if resolved.ranks[option] <= rank:
            given = f"{value_in_words(value)} (from the {resolved.origins[option]})"
            raise _unfit(option, given, names, expressions, stated)
        unused[option] = None
    return replace(resolved, settings=settings.model_copy(update=unused)) if unused else resolved


def _with_older(resolved: Resolved[P], parameter: Parameter, rank: int, *, is_shared: bool) -> Resolved[P]:
    """Return the settings in which a parameter has the value that its older option states: plateau's factor was gamma.

    The older option stays if it `is_shared` with another kind. Raises UsageError if the value is not allowed, and
    if both options are stated with different values.
    """
    name, older = parameter.option, parameter.older
    value, own = getattr(resolved.settings, older), getattr(resolved.settings, name)
    if value is None or resolved.ranks[older] > rank:
        return resolved
    given = f"{value_in_words(value)} (from the {resolved.origins[older]})"
    try:
        fit_value(value, parameter)
    except ValueError:
        what = f"{given} is not allowed as the {parameter.name}; it must be {parameter.accepts}"
        raise UsageError(what, field=older) from None
    if own not in (None, value) and resolved.ranks[name] == resolved.ranks[older]:
        what = f"{given} is an older name of `{name}=`, which is {value_in_words(own)}"
        raise UsageError(what, "state one of the two", field=older)
    origins, ranks, update = dict(resolved.origins), dict(resolved.ranks), {older: value if is_shared else None}
    if own is None or ranks[older] < ranks[name]:
        update[name], origins[name], ranks[name] = value, origins[older], ranks[older]
    return Resolved(resolved.settings.model_copy(update=update), origins, ranks)


def _unfit(
    option: str, given: str, names: dict[str, str], expressions: list[Expression], stated: list[Expression]
) -> UsageError:
    texts = " and ".join(repr(each.text) for each in expressions)
    if stated:
        return UsageError(f"{given} is stated in {texts} too", "state it once", field=option)
    plain = ", ".join(names)
    if any(not each.kind for each in expressions):
        used = {call.name for each in expressions for call in each.calls}
        kind, parameter = next((pair for pair in names.items() if pair[0] in used), next(iter(names.items())))
        hint = f"state it inside the expression, after the name of the part: {kind}({parameter}=…)"
    else:
        hint = f"leave out `{option}=`, or use `scheduler={next(iter(names))}`"
    return UsageError(f"{given} is a parameter of {plain}, and the schedule is {texts}", hint, field=option)


def _stated(settings: PlanSettings) -> dict[str, Any]:
    """Return the parameters of kinds that have options and are stated, by option."""
    return {option: value for option in kind_options() if (value := getattr(settings, option)) is not None}


def _with_warmup(settings: PlanSettings, schedule: Schedule, span: Span, warmup: float) -> Schedule:
    """Return a schedule fitted to the training, with the warmup of the settings before it."""
    shape, inside = settings.warmup_shape, settings.warmup_inside
    start = EXPONENTIAL_START if shape == "exponential" else 0.0
    start = start if settings.warmup_start is None else settings.warmup_start
    if stable := parse_stable(settings.warmup):
        return stable_warmup(stable, schedule, span, start=start, shape=shape, inside=inside)
    own = max(1.0, span.epochs - warmup) if inside else float(span.epochs)
    schedule = begun_after(schedule, replace(span, epochs=own, warmup=warmup), inside=inside)
    return Warmup(schedule, warmup, start, shape) if warmup else schedule


def _of_stable(schedule: Schedule, epochs: int) -> list[str]:
    """Return notes about a warmup that ends when training has settled. Raises UsageError where that cannot be."""
    stable = stable_in(schedule)
    if not stable:
        return []
    if averages_from(schedule, epochs) is not None:
        what = f"weights are averaged from an epoch that is known before, and {STABLE} ends when training has settled"
        raise UsageError(what, "give the warmup a length", field="warmup")
    if stable.window and 2 * stable.window >= stable.longest - TOLERANCE:
        window, longest = f"{stable.window:.3g} epochs", f"{stable.longest:.3g} epochs"
        return [f"two windows of the warmup, {window} each, do not fit in {longest}: it is always that long"]
    return []


def _warmup_epochs(settings: PlanSettings, span: Span) -> tuple[float, list[str]]:
    """Return the length of the warmup, and notes about it."""
    if stable := parse_stable(settings.warmup):
        return stable.max.epochs(span), []
    if settings.warmup != AUTO:
        return parse_duration(settings.warmup).epochs(span), []
    name = settings.optimizer.lower()
    if name not in BETA2:
        hint = "give a number of epochs; auto is for " + ", ".join(BETA2)
        what = f"auto follows Adam's second moment, and {settings.optimizer} has none"
        raise UsageError(what, hint, field="warmup")
    n_steps = round(2 / (1 - (BETA2[name] if settings.beta2 is None else settings.beta2)))
    epochs, most = Duration(n_steps, "batches").epochs(span), span.epochs / 2
    if epochs <= most:
        return epochs, []
    return most, [f"warmup auto is {n_steps} steps, {epochs:.3g} epochs: shortened to half of the training"]
