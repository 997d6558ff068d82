"""Which curves of a plan a preview draws: the learning rate, what else follows a schedule, or each param group."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clfctl.errors import UsageError, nearest
from clfctl.planning.moved import Moved, base_momentum
from clfctl.planning.plan import Plan
from clfctl.planning.preview.track import Track
from clfctl.planning.quantities import LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, Quantity
from clfctl.runs.header import Header
from clfctl.runs.history import START, EpochResult
from clfctl.schedules.base import Rate, before
from clfctl.schedules.compose import Around
from clfctl.schedules.decays import Constant
from clfctl.settings.groups import TrainSettings

GROUP = "group"
QUANTITIES = {"lr": LEARNING_RATE, "momentum": MOMENTUM, "weight-decay": WEIGHT_DECAY, GROUP: LEARNING_RATE}


@dataclass(frozen=True)
class Group:
    """A param group: its `share` of the base rate, and from which epoch on it is trained, None: never."""

    name: str
    share: float = 1.0
    starts_at: int | None = 0


@dataclass(frozen=True)
class OfGroup(Around):
    """The learning rate that a schedule gives a param group."""

    name = GROUP

    group: Group

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time."""
        return self._of(self.inner.given(metrics, base_lr), base_lr)

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        for rate in self.inner.by_epoch(metrics, base_lr):
            yield self._of(rate, base_lr)

    def _of(self, rate: Rate, base_lr: float) -> Rate:
        # The very expression of the optimizer's groups, so that the bits are the same.
        share, starts_at = base_lr * self.group.share / base_lr, self.group.starts_at
        return lambda t: rate(t) * share if starts_at is not None and t >= starts_at else 0.0


def quantity_of(parameter: str) -> Quantity:
    """Return what a parameter draws; raises UsageError for one that there is not."""
    found = QUANTITIES.get(parameter.replace("_", "-"))
    if found is None:
        what = f"{parameter!r} is not allowed; it must be one of {', '.join(QUANTITIES)}"
        raise UsageError(what, nearest(parameter, QUANTITIES), field="parameter")
    return found


def view(plan: Plan, quantity: Quantity) -> tuple[Plan, str]:
    """Return the plan with a value that it moves in the place of the learning rate, and the expression that moves it.

    Raises UsageError for a value that follows no schedule.
    """
    moved = plan.moved().get(quantity)
    if moved is None:
        hint = f"give it one with `{quantity.name}_schedule=`"
        hint += ", or use `onecycle(cycle_momentum=true)`" if quantity is MOMENTUM else ""
        raise UsageError(f"the {quantity.words} follows no schedule here", hint, field="parameter")
    return replace(plan, schedule=moved.schedule, base_lr=moved.base), moved.text


def as_recorded(plan: Plan, quantity: Quantity, settings: TrainSettings, history: Sequence[EpochResult]) -> Plan:
    """Return the plan of a run that moved a value until its settings were changed: from then on it stays as it is."""
    if quantity in plan.moved() or not any(quantity.name in result.moved for result in history):
        return plan
    stays = Moved(Constant(), base_momentum(settings) if quantity is MOMENTUM else settings.weight_decay, "constant")
    return replace(plan, **{quantity.name: stays})  # type: ignore[arg-type]  # a field of the plan has the name


def used_of(record: Mapping[str, float], quantity: Quantity, base: float) -> tuple[float, float]:
    """Return what a value was at the first and at the last step of an epoch, by the record of what was moved in it."""
    return record.get(quantity.name + START, base), record.get(quantity.name, base)


def groups_of_run(header: Header | None) -> tuple[Group, ...]:
    """Return the param groups of a run, by its last checkpoint. Raises UsageError if there is none to be read."""
    if header is None or header.resumption is None:
        raise UsageError("no checkpoint of the run says which param groups it has", field="parameter")
    saved: dict[int, dict[str, Any]] = {}
    for key, value in header.resumption.optimizer.items():
        owner, _, name = key.partition(".")
        if owner.startswith(GROUP):
            saved.setdefault(int(owner.removeprefix(GROUP)), {})[name] = value
    return joined(
        Group(str(each.get("name", f"group {n + 1}")), float(each.get("rate_scale", 1.0)), each.get("starts_at", 0))
        for n, each in sorted(saved.items())
    )


def joined(groups: Iterable[Group]) -> tuple[Group, ...]:
    """Return groups with those as one that have the same rate at all times, such as biases and what they belong to."""
    names: dict[tuple[float, int | None], list[str]] = {}
    for group in groups:
        known = names.setdefault((group.share, group.starts_at), [])
        if not any(group.name.startswith(f"{each},") for each in known):
            known.append(group.name)
    return tuple(Group(" and ".join(known), *key) for key, known in names.items())


def by_group(track: Track, groups: Sequence[Group]) -> Iterator[Track]:
    """Yield a track for each param group, with the rates that it had and gets."""
    for group in groups:
        plan = replace(track.plan, schedule=OfGroup(track.plan.schedule, group))

        def share(rate: float, t: float, group: Group = group) -> float:
            return rate * group.share if group.starts_at is not None and t >= group.starts_at else 0.0

        used = tuple((share(start, n), share(end, n)) for n, (start, end) in enumerate(track.used))
        last_lr = share(track.last_lr, max(0.0, before(track.begins)))
        yield replace(track, plan=plan, used=used, last_lr=last_lr, group=group.name, applied=None)
