"""A warmup that ends when training has settled: within bounds, without a jump, like a fixed one of that length."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clfctl.errors import UsageError
from clfctl.planning.assumed import cases_of
from clfctl.planning.plan import Plan, make_plan
from clfctl.schedules.durations import Duration
from clfctl.schedules.recorded import Recorded, Window
from clfctl.schedules.stable import Stable, StableWarmup, parse_stable, stable_in
from clfctl.settings.groups import PlanSettings

N_BATCHES = 10
WARMUP = "auto:stable(min=2b, max=2, window=2b)"


def plan_of(warmup: str = WARMUP, /, steps: int | None = N_BATCHES, **values: Any) -> Plan:
    return make_plan(PlanSettings.model_validate({"warmup": warmup, "epochs": 10, "lr": 0.1, **values}), steps)


def stable(warmup: str = WARMUP, **values: Any) -> StableWarmup:
    found = stable_in(plan_of(warmup, **values).schedule)
    assert found
    return found


def recorded(*shown: tuple[float, float], metrics: tuple[float, ...] = ()) -> Recorded:
    """What windows of two batches showed: loss and gradient norm."""
    windows = [Window(i / 5, (i + 1) / 5, 2, loss, norm) for i, (loss, norm) in enumerate(shown)]
    return Recorded(metrics, tuple(windows))


SETTLED = [
    (((2.0, 5.0), (1.9, 4.9)), 0.4),  # both within a tenth
    (((2.0, 5.0), (1.7, 4.9), (1.65, 4.8)), 0.6),  # the loss first had to
    (((2.0, 5.0), (1.9, 4.0), (1.8, 4.1)), 0.6),  # the norm had to
    (((2.0, 5.0), (1.9, 5.6)), math.inf),  # a norm that grows has not settled
    (((2.0, 5.0),), math.inf),  # one window tells nothing
    (((2.0, math.nan), (2.0, math.nan)), math.inf),
    (((math.nan, 1.0), (2.0, 1.0), (2.0, 1.0)), 0.6),
]


@pytest.mark.parametrize(("shown", "when"), SETTLED)
def test_it_has_settled_when_two_windows_are_alike(shown: tuple[tuple[float, float], ...], when: float) -> None:
    assert stable().decided(recorded(*shown)).settled == pytest.approx(when)


def test_it_rises_slowly_until_then_and_steeply_from_there() -> None:
    rise = stable().decided(recorded((2.0, 5.0), (1.9, 4.9)))
    # A fifth of the way is over after 0.4 of 2 epochs; the rest takes four fifths of the shortest.
    assert rise.epochs == pytest.approx(0.4 + 0.8 * 0.2)
    rate = stable(scheduler="constant").given(recorded((2.0, 5.0), (1.9, 4.9)), 1.0)
    assert [rate(t) for t in (0, 0.2, 0.4, 0.48, 0.56, 3)] == pytest.approx([0, 0.1, 0.2, 0.6, 1, 1])
    never = stable(scheduler="constant").given((), 1.0)
    assert [never(t) for t in (0, 0.5, 1, 2, 3)] == pytest.approx([0, 0.25, 0.5, 1, 1])


@given(st.floats(0, 2, exclude_max=True), st.sampled_from(["linear", "cosine", "exponential"]))
def test_the_bounds_hold_and_nothing_jumps(settled: float, shape: str) -> None:
    warmup = stable(scheduler="cosine(every=batch)", warmup_shape=shape)
    rise = warmup.settled_at(settled)
    assert 0.2 - 1e-12 <= rise.epochs <= 2 + 1e-12
    rate = rise.given((), 1.0)
    times = [i / 1000 for i in range(2500)]
    assert max(abs(rate(b) - rate(a)) for a, b in itertools.pairwise(times)) < 0.05
    assert rate(rise.epochs) == pytest.approx(1.0)


@pytest.mark.parametrize("values", [
    {"scheduler": "cosine"}, {"scheduler": "cosine", "t_max": 8}, {"scheduler": "linear:30% > wsd"},
    {"scheduler": "onecycle"}, {"scheduler": "inverse-sqrt"}, {"scheduler": "plateau", "patience": 0},
    {"scheduler": "plateau(0, every=3b)"}, {"scheduler": "step", "early_stopping": 2, "cooldown": 3},
    {"scheduler": "torch:StepLR(step_size=2)"},
])  # fmt: skip
def test_what_follows_is_as_after_a_warmup_of_that_length(values: dict[str, Any]) -> None:
    known = recorded((2.0, 5.0), (1.9, 4.9), *[(1.0, 1.0)] * 20, metrics=(3.0, 2.0, 2.0, 2.0))
    by_itself = plan_of(**values)
    warmup = stable_in(by_itself.schedule)
    assert warmup
    fixed = plan_of(repr(warmup.decided(known).epochs), **values)
    for t in (0.57, 1.0, 1.4, 2.5, 3.9, 4.0, 6.2, 9.9):
        assert by_itself.lr(t, known) == fixed.lr(t, known)
    assert by_itself.epochs == fixed.epochs


def test_outside_of_the_epochs_the_longest_is_trained_in_addition() -> None:
    plan = plan_of("auto:stable(max=1.5)", warmup_inside=False, scheduler="cosine")
    assert plan.epochs == 12
    assert plan.lr(11.95, recorded((2.0, 5.0), (2.0, 5.0))) < 0.01  # what follows takes what is left


def test_the_preview_shows_the_earliest_and_the_latest_end() -> None:
    cases = cases_of(plan_of(scheduler="cosine"))
    assert [each.name for each in cases] == ["warmup ends at the earliest after 0.56 epochs",
                                             "warmup ends at the latest after 2 epochs"]  # fmt: skip
    early, late = (each.plan for each in cases)
    assert early.lr(0.56) == pytest.approx(0.1)
    assert late.lr(0.56) == pytest.approx(0.028)
    following = cases_of(plan_of(scheduler="plateau(0, every=3b)", early_stopping=5, cooldown=2))
    assert len(following) == 4
    never, always = following[:2]
    assert never.plan.lr(3, never.metrics) < always.plan.lr(3, always.metrics) == 0.1


WRITTEN = [
    ("auto:stable", Stable()),
    ("auto:stable()", Stable()),
    (" auto:stable( max = 3 ) ", Stable(max=Duration(3))),
    ("auto:stable(min=5b,max=5%,window=7b,tolerance=0.2)",
     Stable(Duration(5, "batches"), Duration(5, "percent"), Duration(7, "batches"), 0.2)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "meant"), WRITTEN)
def test_it_is_read_as_it_is_written(text: str, meant: Stable) -> None:
    assert parse_stable(text) == parse_stable(str(meant)) == meant


@pytest.mark.parametrize("text", [
    "auto:stable(", "auto:stable(3)", "auto:stable(min=0)", "auto:stable(min=-1)", "auto:stable(max=1, max=2)",
    "auto:stable(most=2)", "auto:stable(tolerance=x)", "auto:stable(tolerance=inf)", "auto:stablest", "auto:stable 3",
])  # fmt: skip
def test_what_is_not_right_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="warmup"):
        PlanSettings.model_validate({"warmup": text})


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(UsageError, match="the shortest warmup, 3, is longer than the longest, 20%"):
        plan_of("auto:stable(min=3)")
    with pytest.raises(UsageError, match="averaged from an epoch that is known before"):
        plan_of(scheduler="cosine:5 > average")
    assert "it is always that long" in " ".join(plan_of("auto:stable(max=1, window=6b)").cautions)
    # Without data it is not known how long a window is, but what bounds the warmup is.
    assert stable_in(plan_of("auto:stable", steps=None).schedule).earliest().epochs == pytest.approx(0.1)  # type: ignore[union-attr]
