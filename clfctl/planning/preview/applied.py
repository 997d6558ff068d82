"""Planned against applied: the rates that a run's optimizer had, beside those that the run's plan says, batch by batch.

What it had was read back from its param groups at every step (runs/rates.py). What was planned is worked out here, from
the settings that were in force then and the metrics that were known then.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from typing import Any

from clfctl.errors import ClfctlError
from clfctl.planning.plan import Plan, make_plan
from clfctl.planning.preview.batches import Batches
from clfctl.runs.history import EpochResult
from clfctl.runs.rates import Stretch
from clfctl.schedules.recorded import Recorded, Window
from clfctl.schedules.sampling import rates_in
from clfctl.settings.groups import TrainSettings
from clfctl.settings.older import read_older
from clfctl.settings.scaled_rate import base_lr_of

# By so much of the base rate the cosine of another machine may differ.
SAME = 1e-12
# Settings by which param groups have rates of their own.
OWN_RATES = {"backbone_lr_scale": 1.0, "layer_decay": None}


@dataclass(frozen=True)
class Difference:
    """`n` batches, one after the other, in which the optimizer had another rate than planned.

    `epoch` and `batch` count from 1; the rates are those of the first of them. `group` is a param group's name, empty
    for all.
    """

    epoch: int
    batch: int
    n: int
    planned: float
    applied: float
    group: str = ""


@dataclass(frozen=True)
class Applied:
    """The record of a run: its stretches, its history, its settings with the changes that were made to them.

    `windows` are what its batches showed.
    """

    stretches: tuple[Stretch, ...]
    history: Sequence[EpochResult]
    settings: TrainSettings
    changes: Sequence[Mapping[str, Any]] = ()
    windows: tuple[Window, ...] = ()

    @property
    def n_batches(self) -> int:
        """How many batches there is a record of."""
        return sum(each.n for each in self.stretches)

    def epochs(self) -> Iterator[Batches]:
        """Yield each stretch whose plan is known, in order."""
        for stretch in self.stretches:
            if (planned := self._planned(stretch)) is not None:
                yield Batches(stretch.epoch + 1, stretch.first + 1, planned, stretch.applied())

    def differences(self) -> Iterator[Difference]:
        """Yield what is not as planned, in order."""
        shares = dict[str, float]()
        for stretch in self.stretches:
            planned = self._planned(stretch) or ()
            # Not equal to what is planned, or not a number.
            wrong = [
                (batch, *rates)
                for batch, rates in enumerate(zip(planned, stretch.rates(), strict=False), stretch.first)
                if rates[0] != rates[1] and not abs(rates[0] - rates[1]) <= SAME * base_lr_of(self.settings)
            ]
            yield from _joined(stretch.epoch, wrong)
            yield from self._of_groups(stretch, shares)

    def _of_groups(self, stretch: Stretch, shares: dict[str, float]) -> Iterator[Difference]:
        """Yield where a group had not its share of the rate, or another share than before."""
        rates, at = stretch.rates(), stretch.first
        is_alone = len(stretch.shares) == 1
        has_own = any(getattr(self.settings, name) != value for name, value in OWN_RATES.items())
        for group, share in stretch.shares.items():
            if not share or not rates:  # frozen
                continue
            usual = shares.setdefault(group, share if has_own else 1.0)
            if not math.isclose(share, usual, rel_tol=1e-9):
                yield Difference(stretch.epoch + 1, at + 1, stretch.n, rates[0] * usual, rates[0] * share, group)
        for other in stretch.others:
            planned = rates[other.batch - at] * stretch.shares.get(other.group, 1.0)
            group = "" if is_alone else other.group
            yield Difference(stretch.epoch + 1, other.batch + 1, other.n, planned, other.rate, group)

    def _planned(self, stretch: Stretch) -> list[float] | None:
        """Return what was planned for each batch of a stretch, None if that is not known."""
        epoch, n, end = stretch.epoch, stretch.n_batches, stretch.first + stretch.n
        changed = {until[1] for until, _ in self._versions if until and until[0] == epoch}
        planned = list[float]()
        for first, after in pairwise(
            sorted({each for each in changed if stretch.first < each < end} | {stretch.first, end})
        ):
            number = max(k for k, (until, _) in enumerate(self._versions) if until is None or (epoch, first) < until)
            settings = self._versions[number][1]
            plan = self._plan(number, n)
            if plan is None or settings is None:
                return None
            known = Recorded([result.metric(settings.monitor) for result in self.history[:epoch]], self.windows)
            planned += rates_in(plan.schedule.given(known, plan.base_lr), epoch, range(first, after), n)
        return planned

    def _plan(self, number: int, n_batches: int) -> Plan | None:
        """Return the plan of one of the versions of the settings, None where there is none."""
        key = number, n_batches
        if key not in self._plans:
            settings = self._versions[number][1]
            try:
                self._plans[key] = make_plan(settings, n_batches) if settings else None
            except ClfctlError:  # of a version that made other plans
                self._plans[key] = None
        return self._plans[key]

    @cached_property
    def _plans(self) -> dict[tuple[int, int], Plan | None]:
        """Plans that were made already, by the number of the settings and the batches of an epoch."""
        return {}

    @cached_property
    def _versions(self) -> list[tuple[tuple[int, int] | None, TrainSettings | None]]:
        """The settings, the latest first, each with the batch that it was in force before; None: they are unknown."""
        found: list[tuple[tuple[int, int] | None, TrainSettings | None]] = [(None, self.settings)]
        settings: TrainSettings | None = self.settings
        for change in reversed(self.changes):
            settings = _with(settings, {name: each["old"] for name, each in change.get("settings", {}).items()})
            found.append(((change["epoch"], change["batch"]), settings))
        return found


def _with(settings: TrainSettings | None, old: Mapping[str, Any]) -> TrainSettings | None:
    """Return settings with older values, None where these cannot be used."""
    if settings is None:
        return None
    try:
        return read_older({**settings.model_dump(mode="json"), **old}, "the changes of a run")[0]
    except ClfctlError:
        return None


def _joined(epoch: int, wrong: Iterable[tuple[int, float, float]]) -> Iterator[Difference]:
    """Yield batches that follow each other as one difference."""
    for _, group in groupby(enumerate(wrong), lambda each: each[1][0] - each[0]):
        batches = [each for _, each in group]
        batch, planned, applied = batches[0]
        yield Difference(epoch + 1, batch + 1, len(batches), planned, applied)
