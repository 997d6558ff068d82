"""What other schedules would have made of the metrics that a run measured: when each acts, and what that would save.

The metrics are those of the run: under another schedule they would have been others from its first act on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clfctl.errors import UsageError
from clfctl.planning.changes import stated_in
from clfctl.planning.extending import parts_of
from clfctl.planning.history import run_history
from clfctl.planning.plan import Plan, keep_fitting, make_plan
from clfctl.runs.folder import open_run
from clfctl.schedules.base import before
from clfctl.schedules.catalog import kind_options
from clfctl.schedules.sampling import rates_of, sample_curve
from clfctl.schedules.stable import with_known_warmup
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import Resolved

# The end of an epoch is looked at a moment before it.
SAME = 1e-6
HALF = 0.5


@dataclass(frozen=True)
class Outcome:
    """A schedule on the metrics of a run, or the run itself.

    `rates` are (at its start, at its end) of every epoch of the run, `acts` the epochs, from 1, after which the rate
    falls, `rises` those after its warmup after which it rises. `halved` is after how many epochs it is down to half
    of its highest, None if it never is, and `saved` how many epochs earlier that is than in the run, or than its end
    if the run never was there. `ends` is after how many epochs early stopping would have ended the training, None if
    it would not. `points` are for drawing.
    """

    name: str
    rates: Sequence[tuple[float, float]]
    acts: tuple[int, ...]
    halved: int | None
    saved: int | None = None
    ends: int | None = None
    rises: tuple[int, ...] = ()
    points: Sequence[tuple[float, float]] = field(default=(), repr=False)

    @property
    def is_smooth(self) -> bool:
        """Whether it falls all along, and not at single epochs."""
        return len(self.acts) > max(2, len(self.rates) / 2)


@dataclass(frozen=True)
class WhatIf:
    """A run, the metric that it went by with its values, and what it and other schedules do on them, it first."""

    run: Path
    metric: str
    values: Sequence[float]
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()


def what_if(resolved: Resolved[TrainSettings], folder: Path, texts: Sequence[str]) -> WhatIf:
    """Return what schedules would have done on the metrics of a run, with its base rate, warmup and length.

    Settings that are typed take the place of the run's. Raises UsageError for a run without a finished epoch.
    """
    if not texts:
        hint = 'name them after the run: "plateau(patience=2)" step cosine'
        raise UsageError("there is no schedule to compare the run with", hint, field="what_if")
    run = open_run(folder)
    saved = run_history(run)
    stated = stated_in(resolved)
    where = next((resolved.origins[name] for name in stated), "")
    # The parameters of its schedule are not those of another: a plateau is not to look every 100 batches as it did.
    update = {**dict.fromkeys(kind_options()), **{name: stated[name] for name in stated if name != "scheduler"}}
    settings = saved.settings.model_copy(update=update)
    if not saved.history:
        raise UsageError(f"{folder} has no finished epoch yet", "train it first", field="what_if")
    values = saved.metrics(settings.monitor)
    used = tuple((each.lr_start, each.lr) for each in saved.history)
    own = _of_run(str(folder), used)
    ranks = {name: int(name not in stated) for name in resolved.ranks}
    origins = {name: "run" if rank else where for name, rank in ranks.items()}
    fitting = keep_fitting(Resolved(settings, origins, ranks), texts).settings
    n_batches = saved.n_batches
    others = [_of_schedule(text, make_plan(fitting, n_batches, text), values, own) for text in texts]
    return WhatIf(folder, settings.monitor, values, (own, *others), saved.notes)


def _of_run(name: str, used: Sequence[tuple[float, float]]) -> Outcome:
    points = [point for n, (start, end) in enumerate(used) for point in ((float(n), start), (n + 1.0, end))]
    return Outcome(name, used, _changes(used, used[-1][1])[0], _halved(used), points=points)


def _of_schedule(text: str, plan: Plan, values: Sequence[float], own: Outcome) -> Outcome:
    n_epochs = len(values)
    found = rates_of(plan.schedule, plan.base_lr, range(n_epochs + 1), values)
    every = [(rate(epoch), rate(before(epoch + 1))) for epoch, rate in found]
    rates, halved = every[:-1], _halved(every[:-1])
    reference = n_epochs if own.halved is None else own.halved
    fired = plan.stopped_after(values)
    ends = None if fired is None or fired + plan.cooldown >= n_epochs else fired + plan.cooldown
    curve = sample_curve(plan.schedule, plan.base_lr, n_epochs, values)
    saved = None if halved is None else reference - halved
    falls, rises = _changes(rates, every[-1][0])
    warmup, _ = parts_of(with_known_warmup(plan.schedule, values))
    return Outcome(text, rates, falls, halved, saved, ends, tuple(n for n in rises if n > warmup), curve)


def _changes(rates: Sequence[tuple[float, float]], then: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the epochs, from 1, after which the rate is lower than it was at their beginning, and higher.

    `then` is the rate that follows the last.
    """
    starts = [start for start, _ in rates]
    pairs = [*enumerate(zip(starts, [*starts[1:], then], strict=True), 1)]
    falls = tuple(n for n, (old, new) in pairs if new < old * (1 - SAME))
    return falls, tuple(n for n, (old, new) in pairs if new > old * (1 + SAME))


def _halved(rates: Sequence[tuple[float, float]]) -> int | None:
    """Return after how many epochs the rate is down to half of the highest until then, None if it never is."""
    top = 0.0
    for n, (start, end) in enumerate(rates):
        top = max(top, *(rate for rate in (start, end) if math.isfinite(rate)), 0.0)
        if n and min(start, end) <= HALF * top * (1 + SAME) and end < top:
            # At its start it was there when the epoch before it was over.
            return n if start <= HALF * top * (1 + SAME) else n + 1
    return None
