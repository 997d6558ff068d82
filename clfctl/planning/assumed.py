"""What a preview assumes where a rate depends on what training brings: the cases between which the truth lies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clfctl.planning.plan import Plan
from clfctl.schedules.base import Schedule
from clfctl.schedules.compose import Around
from clfctl.schedules.recorded import Recorded, Window
from clfctl.schedules.stable import StableWarmup, stable_in

# So far apart that every threshold counts them as an improvement.
STRIDE = 10**6


@dataclass(frozen=True)
class Case:
    """A plan in which everything is decided, and the metrics that it is given; `name` says what is assumed."""

    name: str
    plan: Plan
    metrics: Sequence[float] = ()


def cases_of(plan: Plan) -> list[Case]:
    """Return the cases of a preview: warmup at its shortest and longest, a metric that never improves or does."""
    found = list[Case]()
    for name, decided in _warmups(plan):
        if not decided.schedule.follows_metrics:
            found.append(Case(name, decided))
            continue
        for metrics, what in ((worsening(plan), "never improving"), (improving(plan), "improving every epoch")):
            is_falling = what != "never improving"
            known = Recorded(metrics, _windows(decided, is_falling=is_falling))
            found.append(Case(", ".join(filter(None, (name, what))), decided, known))
    return found


def improving(plan: Plan) -> range:
    """Return a metric that improves every epoch by more than any threshold, relative or absolute."""
    # Below 0 a relative threshold asks for nothing: the bar lies on the other side of the best value.
    worst = STRIDE if plan.mode == "min" else STRIDE * plan.epochs
    step = -STRIDE if plan.mode == "min" else STRIDE
    return range(-worst, -worst + step * plan.epochs, step)


def worsening(plan: Plan) -> range:
    """Return a metric that is best in the first epoch."""
    return range(1, 1 + plan.epochs) if plan.mode == "min" else range(-1, -1 - plan.epochs, -1)


def _warmups(plan: Plan) -> list[tuple[str, Plan]]:
    stable = stable_in(plan.schedule)
    if not stable:
        return [("", plan)]
    return [
        (f"{name} after {rise.epochs:.3g} epochs", replace(plan, schedule=_with(plan.schedule, rise)))
        for name, rise in (
            ("warmup ends at the earliest", stable.earliest()),
            ("warmup ends at the latest", stable.settled_at(None)),
        )
    ]


def _with(schedule: Schedule, rise: Schedule) -> Schedule:
    """Return a schedule with a warmup that is decided in the place of the one that is not."""
    if isinstance(schedule, Around):
        return replace(schedule, inner=_with(schedule.inner, rise))
    return rise if isinstance(schedule, StableWarmup) else schedule


def _windows(plan: Plan, *, is_falling: bool) -> tuple[Window, ...]:
    """Return what batches would show, a window a look: losses that fall by more than any threshold, or rise."""
    found, t = list[Window](), 0.0
    while (look := plan.next_look(t)) < plan.epochs:
        n = len(found)
        found.append(Window(t, look, 1, -float(STRIDE * (n + 1)) if is_falling else float(n + 1), 1.0))
        t = look
    return tuple(found)
