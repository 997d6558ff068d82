"""A kind of schedule from outside of the package, in one file: it previews, trains and is explained by its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import pytest
from annotated_types import Gt
from typer.testing import Result

from clfctl.errors import UsageError
from clfctl.planning.plan import make_plan
from clfctl.schedules import KINDS, Kind, Schedule, Warmup, parse_expression, register_kind, sample_curve
from clfctl.schedules.base import Timed
from clfctl.schedules.parameters import Param
from clfctl.settings.groups import TrainSettings


@dataclass(frozen=True)
class Wave(Timed):
    """Swing between the base rate and nothing (a sketch, arXiv:0000.00000)."""

    name = "wave"

    period: Annotated[float, Gt(0), Param("Epochs from top to top.")] = 4.0

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        return base_lr * (1 + math.cos(2 * math.pi * t / self.period)) / 2


@dataclass(frozen=True)
class Halving(Kind):
    """Halve the rate after every epoch with a metric above 1."""

    name = "halving"

    @property
    def follows_metrics(self) -> bool:
        """It goes by the metrics."""
        return True

    def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the learning rate at `t` epochs."""
        return base_lr * 0.5 ** sum(metric > 1 for metric in metrics)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    for kind in (Wave, Halving):
        assert register_kind(kind) is kind
    yield
    for kind in (Wave, Halving):
        del KINDS[kind.name]


def test_it_previews_by_its_name(cli: Callable[..., Result]) -> None:
    result = cli("lr-preview", "wave(period=2)", "--epochs", "2", "--steps-per-epoch", "2", "--lr", "1", "--format=csv")
    assert result.exit_code == 0, result.stderr
    rates = [float(line.rpartition(",")[2]) for line in result.stdout.splitlines()[1:]]
    assert rates == pytest.approx([1, 0.5, 0, 0.5])
    listed = cli("lr-preview", "--list").stdout
    assert "wave: Swing between the base rate and nothing" in listed
    assert "period = 4: epochs from top to top; a number greater than 0" in listed


def test_training_plans_with_it_in_a_chain_and_after_warmup() -> None:
    plan = make_plan(TrainSettings(scheduler="wave(4):2 > halving", warmup="1", epochs=6, lr=1.0), 10)
    assert plan.values(0.5).lr == 0.5
    assert plan.values(2).lr == pytest.approx(0.5)  # a quarter of a period
    assert plan.values(3.5).lr == pytest.approx(0, abs=1e-12)
    with pytest.raises(UsageError, match="period of wave cannot be 0"):
        parse_expression("wave(period=0)")


def test_one_that_only_says_lr_is_bound_to_its_metrics() -> None:
    schedule: Schedule = Warmup(Halving(), 1)
    curve = sample_curve(schedule, 1.0, 4, (9.0, 2.0, 0.5), per_epoch=1)
    assert [rate for _, rate in curve] == [0, 1, 0.5, 0.5, 0.5]
    assert schedule.given((9.0, 2.0), 1.0)(2.5) == schedule.lr(1.0, 2.5, (9.0, 2.0)) == 0.5


@dataclass(frozen=True)
class Other(Wave):
    """Another with the same name."""


@dataclass(frozen=True)
class Unnamable(Wave):
    """One that no expression could name."""

    name = "My Wave"


REFUSED = [(Other, "there is a kind 'wave' already"), (Unnamable, "'My Wave' cannot be the name of a kind")]


@pytest.mark.parametrize(("kind", "message"), REFUSED)
def test_names_are_checked(kind: type[Kind], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        register_kind(kind)
