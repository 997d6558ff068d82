"""Schedules as tables of expected values, one an epoch with its reason, and the properties of warmup and chain."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clfctl.errors import UsageError
from clfctl.schedules import Chain, Cosine, Plateau, Schedule, Step, Warmup, build_schedule, sample_curve
from clfctl.settings.groups import ScheduleSettings

times = st.floats(0, 100)
schedules = st.one_of(
    st.builds(Step, st.integers(1, 20), st.floats(0.1, 1)),
    st.builds(Cosine, st.integers(1, 100), st.floats(0, 1e-3)),
    st.builds(Plateau, st.integers(0, 10), st.floats(0.1, 0.9)),
)


def test_step_halves_every_two_epochs() -> None:
    assert [Step(2, 0.5).lr(0.1, t) for t in (0, 1, 1.99, 2, 3, 4)] == [0.1, 0.1, 0.1, 0.05, 0.05, 0.025]


def test_cosine_ends_at_eta_min() -> None:
    schedule = Cosine(4, 0.01)
    assert schedule.lr(0.1, 0) == pytest.approx(0.1)
    assert schedule.lr(0.1, 2.5) == pytest.approx(0.055)  # the middle, for the whole epoch
    assert schedule.lr(0.1, 4) == pytest.approx(0.01)


PLATEAU = [
    ([], 1.0),
    ([1.0], 1.0),
    ([1.0, 1.0], 1.0),  # first epoch without improvement
    ([1.0, 1.0, 1.0], 1.0),  # second: as many as patience allows
    ([1.0, 1.0, 1.0, 1.0], 0.5),  # third: more than patience
    ([1.0, 1.0, 1.0, 0.5, 0.5], 1.0),  # the improvement starts the count anew
    ([1.0, 0.99995, 0.9999, 1.0], 0.5),  # less than the relative threshold of 1e-4 is no improvement
    ([math.nan, math.nan, math.nan], 0.5),  # NaN never improves
]


@pytest.mark.parametrize(("metrics", "expected"), PLATEAU)
def test_plateau_counts_epochs_without_improvement(metrics: list[float], expected: float) -> None:
    assert Plateau(patience=2, factor=0.5).lr(1.0, len(metrics), metrics) == expected


def test_warmup_moves_every_batch_and_ends_each_epoch_on_its_share() -> None:
    schedule = Warmup(Step(5), 2)
    assert schedule.lr(0.1, 0) == 0
    assert schedule.lr(0.1, 0.5) == pytest.approx(0.025)
    assert [schedule.lr(0.1, epoch + 1 - 1e-9) for epoch in range(2)] == pytest.approx([0.05, 0.1])
    assert schedule.lr(0.1, 6.9) == 0.1  # five whole epochs of the inner schedule
    assert schedule.lr(0.1, 7) == 0.05


@given(schedules, st.floats(0.1, 5), times)
def test_after_warmup_the_inner_schedule_runs_from_its_own_start(inner: Schedule, epochs: float, t: float) -> None:
    assert Warmup(inner, epochs).lr(0.1, epochs + t) == inner.lr(0.1, (epochs + t) - epochs)


@given(schedules, st.floats(0.1, 5))
def test_warmup_rises_and_never_passes_its_target(inner: Schedule, epochs: float) -> None:
    values = [Warmup(inner, epochs).lr(0.1, epochs * i / 50) for i in range(50)]
    assert values == sorted(values)
    assert values[0] == 0
    assert values[-1] < inner.lr(0.1, 0)


@given(st.lists(st.floats(0.1, 10), max_size=30), st.integers(0, 3))
def test_plateau_after_warmup_sees_only_its_own_epochs(metrics: list[float], warmup: int) -> None:
    plateau = Plateau(1, 0.5)
    t = warmup + len(metrics)
    expected = plateau.lr(0.1, len(metrics), metrics)
    assert Warmup(plateau, warmup).lr(0.1, t, [9.0] * warmup + metrics) == expected if warmup else True


@given(schedules, st.integers(1, 20), schedules, times)
def test_chain_gives_each_part_its_own_clock(first: Schedule, epochs: int, second: Schedule, t: float) -> None:
    chain = Chain(((first, epochs), (second, None)))
    expected = first.lr(0.1, t) if t < epochs else second.lr(0.1, t - epochs)
    assert chain.lr(0.1, t) == expected


@given(schedules, times)
def test_schedules_are_pure(schedule: Schedule, t: float) -> None:
    once = schedule.lr(0.1, t, [1.0, 0.5])
    schedule.lr(0.1, 0.0, [3.0])
    assert schedule.lr(0.1, t, [1.0, 0.5]) == once


def test_cosine_spans_the_epochs_after_warmup() -> None:
    settings = ScheduleSettings(scheduler="cosine", warmup=2)
    assert build_schedule(settings, 10, "val_loss") == Warmup(Cosine(8), 2)
    assert build_schedule(ScheduleSettings(scheduler="cosine", t_max=5), 10, "val_loss") == Cosine(5)


def test_plateau_goes_the_way_of_its_metric() -> None:
    assert build_schedule(ScheduleSettings(scheduler="plateau"), 10, "val_top1") == Plateau(3, 0.5, mode="max")


@pytest.mark.parametrize("epochs", [1, 2])
def test_warmup_of_the_whole_training_is_refused(epochs: int) -> None:
    with pytest.raises(UsageError, match="--warmup: 2 epochs leave nothing"):
        build_schedule(ScheduleSettings(warmup=2), epochs, "val_loss")


def test_curve_has_the_points_of_every_epoch() -> None:
    curve = sample_curve(Warmup(Step(1), 1), 0.1, 2, per_epoch=2)
    assert curve == [(0, 0), (0.5, 0.05), (1, 0.1), (1.5, 0.1), (2, 0.1)]
