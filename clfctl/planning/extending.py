"""Training longer: four ways for the learning rate to go on, each an expression in the place of the run's own.

An extension has no record of its own. What the run was trained with until now is written as an expression that ends
where it stands, and what follows is one part more. So whatever comes later, a resume, a second extension or a preview,
evaluates what is in the settings, and agrees to the bit.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from clfctl.errors import UsageError
from clfctl.planning.plan import Plan, make_plan
from clfctl.runs.header import Header
from clfctl.schedules import Average, Cooldown, Schedule, Warmup, parse_expression
from clfctl.schedules.base import TOLERANCE
from clfctl.schedules.catalog import kind_options
from clfctl.schedules.cooldown import lowest_rate
from clfctl.schedules.durations import in_digits, parse_duration
from clfctl.schedules.recorded import Recorded, Window
from clfctl.schedules.stable import parse_stable, with_known_warmup
from clfctl.schedules.writing import times, written_until
from clfctl.settings.extending import Extend, Way, parse_extend
from clfctl.settings.groups import PlanSettings
from clfctl.settings.scaled_rate import base_lr_of
from clfctl.settings.schedule import AUTO

P = TypeVar("P", bound=PlanSettings)

# A learning rate that changes by more than this from one step to the next is a jump.
JUMP = 1.5
# Of the epochs that are left: those in which the rate rises again. How long it is matters little (Ibrahim et al.).
REWARM_SHARE = 0.1
WAYS: dict[Way, str] = {
    "stretch": "the same curve over the new length",
    "hold": "at the last rate, and down at the end",
    "rewarm": "up again, and down",
    "anneal": "down from the last rate",
}
STAYS = "at the last rate, which is not lower than it would rise to, and down"
# Settings that say what the rate is to be: whoever states one has chosen already.
CHOOSING = ("scheduler", "lr", "scale_lr", "reference_batch", "warmup", *kind_options())


@dataclass(frozen=True)
class Standing:
    """Where a run stands: at `t` epochs, after a step with the rate `last_lr`; `metrics` are those of its epochs."""

    t: float
    last_lr: float
    metrics: Sequence[float] = ()
    n_batches: int | None = None


def standing_of(
    header: Header, monitor: str, windows: Sequence[Window] = (), *, restarts_epoch: bool = False
) -> Standing:
    """Return where the run of a checkpoint stands; before the epoch that it is in, if that is begun again.

    Raises ValueError for a checkpoint that none can go on from.
    """
    saved = header.going_on()
    t = float(saved.position.epoch) if restarts_epoch else saved.position.t
    metrics = Recorded(tuple(result.metric(monitor) for result in header.history), tuple(windows))
    return Standing(t, saved.lr, metrics, saved.position.n_batches)


@dataclass(frozen=True)
class Extension:
    """How a run goes on for longer: under which settings, in which way, and why, as a line ("": nothing to say)."""

    settings: Any
    way: Way = "stretch"
    line: str = ""


def extend(saved: P, changed: P, stated: Mapping[str, Any], at: Standing, wanted: str = "") -> Extension:
    """Return how a run goes on whose settings were `saved`, and are `changed` now by what is `stated`.

    `wanted` is the way, "": by the schedule. Raises UsageError for a way that is not there: where nothing is longer,
    another schedule is stated, or there is no rate yet from which it could go on.
    """
    chosen = parse_extend(wanted) if wanted else None
    is_longer = changed.epochs > saved.epochs
    if chosen:
        _check(saved, changed, stated, at)
        settings = extended(saved, changed, at, chosen)
        return Extension(settings, chosen.way, _line(chosen.way, settings))
    chose_rate = any(name in stated and getattr(changed, name) != getattr(saved, name) for name in CHOOSING)
    chose_rate = chose_rate or base_lr_of(saved) != base_lr_of(changed)  # by the batch size
    if not is_longer or chose_rate or not at.t or _has_stopped(changed, at):
        return Extension(changed)
    way, why = default_way(saved, changed, at)
    settings = extended(saved, changed, at, Extend(way))
    return Extension(settings, way, _line(way, settings, why))


def default_way(saved: PlanSettings, changed: PlanSettings, at: Standing) -> tuple[Way, str]:
    """Return the way to go on where none is stated, and why: the same curve, unless the rate would jump up to it."""
    before, after = make_plan(saved, at.n_batches), make_plan(changed, at.n_batches)
    as_planned, now = before.lr(at.t, at.metrics), after.lr(at.t, at.metrics)
    if now == as_planned:
        return "stretch", "its curve does not depend on the number of epochs"
    jumps = now > at.last_lr * JUMP
    if not jumps or obstacle(saved, at, "rewarm"):
        return "stretch", "the rate does not jump up to it" if not jumps else "there is no other way"
    return "rewarm", f"the same curve over {changed.epochs} epochs would jump from {at.last_lr:.3g} to {now:.3g}"


def extended(saved: P, changed: P, at: Standing, how: Extend) -> P:
    """Return the changed settings, under which the rate goes on as it is to from where the run stands.

    Raises UsageError if it cannot go on so.
    """
    if how.way == "stretch":
        return _as_warmed_up(saved, changed, at)
    if why := obstacle(saved, at, how.way):
        raise UsageError(f"{how.way} is not possible: {why}", "`extend=stretch` is", field="extend")
    plan = make_plan(saved, at.n_batches)
    left = make_plan(changed, at.n_batches).epochs - at.t
    tail = _tail(how, at.last_lr / plan.base_lr, lowest_of(plan, saved), base_lr_of(changed), left)
    return followed_by(saved, changed, at, tail)


def followed_by(saved: P, changed: P, at: Standing, tail: str) -> P:
    """Return the changed settings in which the schedule of the saved ones ends where a run stands, and a tail follows.

    The tail begins at the base rate. Whatever was left open is stated as it was, in the schedule itself.
    """
    warmup, inner = parts_of(_schedule_of(saved, at))
    update: dict[str, Any] = dict.fromkeys(kind_options())
    if changed.cooldown:
        update["eta_min"] = changed.eta_min  # early stopping's cooldown goes by it too
    # Another length, and batches of another size, would bend what is not in epochs.
    if warmup and (parse_stable(saved.warmup) or saved.warmup == AUTO or parse_duration(saved.warmup).unit != "epochs"):
        update["warmup"] = in_digits(warmup)
    before = written_until(parse_expression(saved.scheduler), inner, at.t - warmup)
    followed = changed.model_copy(update={**update, "scheduler": f"{before} >> {tail}"})
    return followed.model_copy(update=_beside(saved, followed, at))


def _beside(saved: PlanSettings, changed: PlanSettings, at: Standing) -> dict[str, str]:
    """Return the schedules of momentum and weight decay as they were fitted, where another length would bend them."""
    before, after = make_plan(saved, at.n_batches), make_plan(changed, at.n_batches)
    written = dict[str, str]()
    for quantity, moved in before.moved().items():
        name = f"{quantity.name}_schedule"
        text, then = getattr(saved, name), after.moved().get(quantity)
        if text and then and getattr(changed, name) == text and then.schedule != moved.schedule:
            written[name] = written_until(parse_expression(text), moved.schedule, before.epochs)
    return written


def obstacle(saved: PlanSettings, at: Standing, way: Way) -> str:
    """Return why a run cannot go on in a way, empty if it can."""
    warmup, _ = parts_of(_schedule_of(saved, at))
    if way == "stretch":
        return ""
    if at.t - warmup <= TOLERANCE:
        return "its warmup is not over" if at.t else "nothing is trained yet"
    if any(call.name == Average.name and not call.library for call in parse_expression(saved.scheduler).calls):
        return f"weights are averaged in its last part, {Average.name}, and nothing can follow that"
    if not math.isfinite(at.last_lr):
        return "it does not say what its last learning rate was"
    if not at.last_lr and way != "rewarm":
        return "its last learning rate is 0"
    return ""


def _schedule_of(saved: PlanSettings, at: Standing) -> Schedule:
    """Return the schedule that a run has, with a warmup as long as it was."""
    return with_known_warmup(make_plan(saved, at.n_batches).schedule, at.metrics)


def _as_warmed_up(saved: PlanSettings, changed: P, at: Standing) -> P:
    """Return the changed settings in which a warmup that has ended when training settled stays as long as it was."""
    if not parse_stable(saved.warmup) or changed.warmup != saved.warmup:
        return changed
    warmup, _ = parts_of(_schedule_of(saved, at))
    return changed.model_copy(update={"warmup": in_digits(warmup)}) if at.t > warmup - TOLERANCE else changed


def parts_of(schedule: Schedule) -> tuple[float, Schedule]:
    """Return the epochs of the warmup, and the schedule of a plan without it and without what early stopping adds."""
    if isinstance(schedule, Cooldown):
        schedule = schedule.inner
    return (schedule.epochs, schedule.inner) if isinstance(schedule, Warmup) else (0.0, schedule)


def lowest_of(plan: Plan, settings: PlanSettings) -> float:
    """Return the lowest rate that the settings or the schedule state, 0 if none."""
    return lowest_rate(plan.schedule) if settings.eta_min is None else settings.eta_min


def _tail(how: Extend, share: float, lowest: float, base_lr: float, left: float) -> str:
    """Return what follows in `left` epochs on a rate of `share` times the base, as an expression.

    `hold` is warmup-stable-decay from there, whose fall is Hägele et al.'s (2024, arXiv:2405.18392); `rewarm` is
    Ibrahim et al.'s (2024, arXiv:2403.08763); `anneal` falls along a line, as Bergsma et al. (2025, arXiv:2502.15938)
    found best.
    """
    top = max(share, how.share) if how.way == "rewarm" else share
    # What is at its lowest already has nowhere to go but to 0.
    floor = f"eta_min={in_digits(lowest)}" if 0 < lowest < top * base_lr else ""
    match how.way:
        case "hold":
            return times(share, f"wsd({','.join(filter(None, (f'decay={in_digits(how.share)}', floor)))})")
        case "anneal":
            return times(share, f"polynomial(power=1,{floor},every=batch)" if floor else "linear")
    rise = f"linear(start={in_digits(share)},end={in_digits(top)})" if top > share else times(share, "constant")
    return (
        f"{rise}:{in_digits(float(f'{REWARM_SHARE * left:.3g}'))} > cosine({floor + ',' if floor else ''}every=batch)"
    )


def _check(saved: PlanSettings, changed: PlanSettings, stated: Mapping[str, Any], at: Standing) -> None:
    if changed.epochs <= saved.epochs:
        hint = f"say with `epochs=` how many it is to have in all, more than {saved.epochs}"
        raise UsageError(f"nothing is longer: the run has {saved.epochs} epochs", hint, field="extend")
    if changed.scheduler != saved.scheduler:
        hint = f"leave out one of `extend=` and `scheduler={stated.get('scheduler', '')}`"
        raise UsageError("it says how the run's own schedule goes on, and another is stated", hint, field="extend")
    if _has_stopped(changed, at):
        hint = "add `early_stopping=0`, which trains on"
        raise UsageError(f"early stopping has ended this run after {at.t:g} epochs", hint, field="extend")


def _has_stopped(settings: PlanSettings, at: Standing) -> bool:
    """Return whether early stopping has ended a run where it stands."""
    fired = make_plan(settings, at.n_batches).stopped_after(at.metrics)
    return fired is not None and at.t >= fired + settings.cooldown


def _line(way: Way, settings: PlanSettings, why: str = "") -> str:
    """Return how the rate goes on, as a line."""
    # A rate that is as high as it would rise to stays there.
    stays = way == "rewarm" and settings.scheduler.rpartition(">>")[2].partition(":")[0].endswith("constant")
    line = f"Extend {way}: {STAYS if stays else WAYS[way]}"
    if why:
        line += f" (the default here: {why}; `extend=` takes {', '.join(get_args(Way))})"
    first = parse_expression(settings.scheduler).schedule()
    if way != "stretch" and first.follows_metrics:
        line += "; from here on the metric no longer decides"
    return line
