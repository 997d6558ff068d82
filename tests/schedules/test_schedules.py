"""Schedules as tables of expected values, one an epoch with its reason, and the properties of warmup and chain."""

import math
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clfctl.errors import UsageError
from clfctl.schedules import (
    WSD,
    ByName,
    Chain,
    Constant,
    Cooldown,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSqrt,
    Linear,
    MultiStep,
    OneCycle,
    Plateau,
    Polynomial,
    Restart,
    Schedule,
    Span,
    Step,
    Warmup,
    averages_from,
    parse_expression,
    sample_curve,
)
from clfctl.schedules.compose import WarmupShape

# Nearer to a seam than any batch comes, a time counts as on it.
times = st.floats(0, 100).map(lambda t: round(t, 6))
schedules = st.one_of(
    st.builds(Step, st.integers(1, 20), st.floats(0.1, 1)),
    st.builds(Cosine, st.integers(1, 100), st.floats(0, 1e-3)),
    st.builds(Constant, st.floats(0.1, 1), st.integers(0, 20)),
    st.builds(MultiStep, st.lists(st.integers(1, 50), min_size=1, max_size=4).map(tuple), st.floats(0.1, 1)),
    st.builds(Exponential, st.floats(0.5, 1), st.sampled_from(["epoch", "batch"])),
    st.builds(Linear, st.floats(0.1, 1), st.floats(0.1, 1), st.integers(1, 50)),
    st.builds(Polynomial, st.floats(0.5, 3), st.floats(0, 1e-3), st.integers(1, 50)),
    st.builds(CosineRestarts, st.just(1), st.integers(1, 20), st.floats(1, 2), st.floats(0.5, 1)),
    st.builds(OneCycle, st.floats(0.1, 0.4), t_max=st.integers(1, 50), three_phase=st.booleans()),
    st.builds(InverseSqrt, st.floats(0.1, 10)),
    st.builds(WSD, st.floats(0.1, 1), st.sampled_from(["linear", "cosine", "1-sqrt"]), t_max=st.integers(1, 50)),
    st.builds(Plateau, st.integers(0, 10), st.floats(0.1, 0.9)),
)


def test_step_halves_every_two_epochs() -> None:
    assert [Step(2, 0.5).lr(0.1, t) for t in (0, 1, 1.99, 2, 3, 4)] == [0.1, 0.1, 0.1, 0.05, 0.05, 0.025]


def test_cosine_ends_at_eta_min() -> None:
    schedule = Cosine(4, 0.01)
    assert schedule.lr(0.1, 0) == pytest.approx(0.1)
    assert schedule.lr(0.1, 2.5) == pytest.approx(0.055)  # the middle, for the whole epoch
    assert schedule.lr(0.1, 4) == pytest.approx(0.01)


FOLLOWING = [
    "plateau(0, 0.5)", "plateau(1, 0.5, cooldown=1, smooth=0.3)", "plateau:3 > plateau(0, 0.5)", "cosine",
    "plateau(0, 0.5):2.5 >> step:7b > plateau(0, 0.5)", "0.5*plateau(0, 0.5)", "linear:0.3 > plateau(0, 0.5):4",
    "step(1, 0.5):1 > plateau(0, 0.5):1.7 > cosine(every=batch):1 > plateau(0, 0.5)",
]  # fmt: skip


@pytest.mark.parametrize("text", FOLLOWING)
@given(
    st.lists(st.sampled_from([0.5, 0.4, 1.0, math.nan]), max_size=12), st.sampled_from([0, 1, 2.5, 0.3]), st.booleans()
)
def test_one_pass_gives_every_epoch_what_binding_gives(
    text: str, metrics: list[float], warmup: float, cools: bool
) -> None:
    schedule: Schedule = parse_expression(text).schedule().fitted(Span(12, steps_per_epoch=9))
    schedule = Warmup(schedule, warmup) if warmup else schedule
    schedule = Cooldown(schedule, 3, 2, "min", 1e-3, 12) if cools else schedule
    for epoch, rate in zip(range(13), schedule.by_epoch(tuple(metrics), 0.1), strict=False):
        bound = schedule.given(metrics[:epoch], 0.1)
        for batch in range(4):
            t = epoch + batch / 4
            assert rate(t) == bound(t) == schedule.lr(0.1, t, metrics[:epoch])


@pytest.mark.parametrize(
    ("text", "warmup", "first"),
    [
        ("average", 0, 0), ("cosine", 0, None), ("cosine:20 > average:5", 0, 20), ("cosine:20 > average", 2, 22),
        ("cosine:20.5 > average:5", 0, 20),  # from the first epoch that ends in it
        ("cosine:80% >> 0.1*average", 0, 20), ("cosine:25 > average", 0, None),
    ],
)  # fmt: skip
def test_weights_are_averaged_from_the_end_of_the_first_epoch_in_it(text: str, warmup: int, first: int | None) -> None:
    schedule: Schedule = parse_expression(text).schedule().fitted(Span(25))
    assert averages_from(Warmup(schedule, warmup) if warmup else schedule, 25) == first
    assert averages_from(Cooldown(schedule, 3, 2, "min"), 30) == averages_from(schedule, 30)


def test_an_average_holds_the_rate_that_it_begins_with_or_its_own() -> None:
    held = parse_expression("linear(end=0.5):4 > average:2").schedule().fitted(Span(6))
    assert [held.lr(0.1, t) for t in (4, 5.5, 9)] == pytest.approx([0.05] * 3)
    assert parse_expression("linear:4 > average(rate=0.01)").schedule().fitted(Span(6)).lr(0.1, 5) == 0.01


PLATEAU = [
    ([], 1.0),
    ([1.0], 1.0),
    ([1.0, 1.0], 1.0),  # first epoch without improvement
    ([1.0, 1.0, 1.0], 1.0),  # second: as many as patience allows
    ([1.0, 1.0, 1.0, 1.0], 0.5),  # third: more than patience
    ([1.0, 1.0, 1.0, 0.5, 0.5], 1.0),  # the improvement restarts the count
    ([1.0, 0.99995, 0.9999, 1.0], 0.5),  # less than the relative threshold of 1e-4 does not count as one
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
    assert Warmup(inner, epochs).lr(0.1, epochs + t) == inner.lr(0.1, max(0.0, (epochs + t) - epochs))


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
    restarted = Chain(((first, epochs), (Restart(second), None)))
    if t < epochs:
        assert chain.lr(0.1, t) == restarted.lr(0.1, t) == first.lr(0.1, t)
    else:
        # Without a jump: from where the first ended. Or from the base again.
        assert chain.lr(0.1, t) == second.lr(first.lr(0.1, epochs), t - epochs)
        assert restarted.lr(0.1, t) == second.lr(0.1, t - epochs)


def test_seams_are_exact_to_the_batch() -> None:
    chain = Chain(((Linear(0.1, 1.0, 2), 2), (Constant(0.5), 1), (Step(1, 0.1), None)))
    for n in (3, 7, 10, 49):  # fractions that no float holds exactly
        rates = [chain.lr(1.0, epoch + batch / n) for epoch in range(5) for batch in range(n)]
        assert rates[2 * n - 1] == pytest.approx(0.1 + 0.9 * (2 * n - 1) / (2 * n))
        assert rates[2 * n : 3 * n] == pytest.approx([0.5] * n)
        assert rates[3 * n : 4 * n] == pytest.approx([0.5] * n)
        assert rates[4 * n :] == pytest.approx([0.05] * n)


@given(st.integers(1, 60), st.integers(1, 300), st.integers(1, 400))
def test_warmup_of_batches_ends_on_its_batch(epochs: int, n_batches: int, n_warmup: int) -> None:
    schedule = Warmup(Step(1000), n_warmup / n_batches)
    for batch in (n_warmup - 1, n_warmup, n_warmup + 1):
        epoch, rest = divmod(batch, n_batches)
        rate = schedule.lr(1.0, epoch + rest / n_batches)
        assert rate == 1.0 if batch >= n_warmup else rate == pytest.approx(batch / n_warmup)


def test_metrics_of_a_part_begin_with_it() -> None:
    chain = Chain(((Constant(), 3), (Plateau(0, 0.5), None)))
    metrics = (1.0, 1.0, 1.0, 5.0, 5.0, 5.0)
    assert [chain.lr(1.0, t, metrics[:t]) for t in range(7)] == [1, 1, 1, 1, 1, 0.5, 0.25]


def test_a_part_after_plateau_goes_on_from_where_it_brought_the_rate() -> None:
    chain = Chain(((Plateau(0, 0.5), 3), (Cosine(4), None)))
    metrics = (1.0, 1.0, 1.0, 1.0, 0.5)
    assert chain.lr(1.0, 3, metrics[:3]) == 0.25
    assert chain.lr(1.0, 5, metrics) == pytest.approx(0.125)


def test_the_rate_stays_after_the_length_of_the_last_part() -> None:
    chain = Chain(((Cosine(4, 0.1), 4),))
    assert [chain.lr(1.0, t) for t in (4, 5, 9)] == pytest.approx([0.1, 0.1, 0.1])


SHAPES: dict[WarmupShape, list[float]] = {
    "linear": [0.2, 0.4, 0.6, 0.8],
    "cosine": [0.2, 0.2 + 0.8 * (1 - math.sqrt(0.5)) / 2, 0.6, 0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2],
    "exponential": [0.2, 0.2**0.75, 0.2**0.5, 0.2**0.25],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_warmup(shape: WarmupShape) -> None:
    schedule = Warmup(Constant(), 2, 0.2, shape)
    assert [schedule.lr(1.0, t) for t in (0, 0.5, 1, 1.5)] == pytest.approx(SHAPES[shape])
    assert schedule.lr(1.0, 2) == 1.0


def test_cooldown_is_a_branch_of_the_metrics() -> None:
    schedule = Cooldown(Constant(), 4, patience=2, mode="min", eta_min=0.1)
    good, bad = (3.0, 2.0, 1.0), (1.0, 2.0, 2.0)
    assert [schedule.lr(1.0, t, good[:t]) for t in (0, 1, 2, 3)] == [1, 1, 1, 1]
    rates = [schedule.lr(1.0, t, (*bad, 0.5, 0.5)[: int(t)]) for t in (0, 2, 2.9, 3, 4, 5, 6.9, 7, 9)]
    assert rates[:4] == [1, 1, 1, 1]
    assert rates == sorted(rates, reverse=True)
    assert rates[5] == pytest.approx(0.55)
    assert rates[-2:] == pytest.approx([0.1, 0.1])


DIP = [1.0, 0.3, 0.9, 0.8, 0.7, 0.6, 0.5]
SMOOTHED = [
    # One lucky epoch makes a plain plateau take a falling line for one that stands still; an average hardly sees it.
    (DIP, 0.0, 0.5),
    (DIP, 0.9, 1.0),
    ([1.0, *[math.nan, math.inf] * 2, 0.9], 0.9, 0.5),  # not finite: no improvement, and kept out of the average
]


@pytest.mark.parametrize(("metrics", "smooth", "expected"), SMOOTHED)
def test_smooth_plateau_follows_the_moving_average(metrics: list[float], smooth: float, expected: float) -> None:
    assert Plateau(2, 0.5, smooth=smooth).lr(1.0, len(metrics), metrics) == expected


WRONG = [
    (lambda: Step(0), "step_size of step is 0; it must be a whole number greater than 0"),
    (lambda: Step(cast(Any, 2.5)), "step_size of step is 2.5"),
    (lambda: Cosine(10, -1), "eta_min of cosine is -1; it must be a number at least 0"),
    (lambda: Plateau(mode=cast(Any, "up")), "mode of plateau is 'up'; it must be one of auto, min, max"),
    (lambda: Warmup(Step(), 0), "a warmup must be longer than 0 epochs"),
    (lambda: Warmup(Step(), 1, 0.0, "exponential"), "an exponential warmup cannot start at 0"),
    (lambda: Cosine().lr(0.1, 0), "cosine has no length yet"),
    (lambda: ByName("torch", "CyclicLr").lr(0.1, 0), "torch has no scheduler 'CyclicLr'"),
    (lambda: ByName("torch", "CyclicLR").lr(0.1, 0), "torch:CyclicLR cannot be made"),
    (lambda: ByName("torch", "LambdaLR").lr(0.1, 0), "torch:LambdaLR cannot be used here"),
    (
        lambda: ByName("torch", "OneCycleLR", (("max_lr", 1), ("total_steps", 3))).lr(0.1, 9),
        "failed at step 4: Tried to step 4 times",
    ),
    (lambda: ByName("torch", "StepLR", (("step_size", 3),), "batch").lr(0.1, 0), "changes with every batch"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_wrong_parameters_are_said(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert message in str(caught.value)


@given(st.lists(st.floats(0.1, 10), max_size=30), st.integers(0, 6))
def test_folds_are_remembered_only_for_the_very_same_metrics(metrics: list[float], start: int) -> None:
    plateau = Warmup(Plateau(1, 0.5), start) if start else Plateau(1, 0.5)
    known = tuple(metrics)
    for n in range(len(known) + 1):
        for _ in range(2):
            assert plateau.lr(0.1, start + n, known[:n]) == plateau.lr(0.1, start + n, list(known[:n]))


@given(schedules, times)
def test_schedules_are_pure(schedule: Schedule, t: float) -> None:
    once = schedule.lr(0.1, t, [1.0, 0.5])
    schedule.lr(0.1, 0.0, (3.0,))
    assert schedule.lr(0.1, t, [1.0, 0.5]) == once


def test_curve_has_the_points_of_every_epoch() -> None:
    curve = sample_curve(Warmup(Step(1), 1), 0.1, 2, per_epoch=2)
    assert curve == [(0, 0), (0.5, 0.05), (1, 0.1), (1.5, 0.1), (2, 0.1)]
