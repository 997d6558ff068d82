"""Our formulas against torch's classes, stepped through: the same to 1e-12 of base_lr over random configurations."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from clfctl.schedules import (
    ByName,
    Chain,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
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
    momentum_of,
)
from clfctl.schedules.base import Every, Mode

TOLERANCE = 1e-12
many = settings(max_examples=1000)
base_lrs = st.floats(1e-6, 10)
shares = st.floats(0, 1)
lengths = st.integers(1, 60)
everies = st.sampled_from(["epoch", "batch"])
Make = Callable[[Optimizer], LRScheduler]


def optimizer(lr: float) -> Optimizer:
    return SGD([torch.zeros(1)], lr, momentum=0.9)


def rates_of(base_lr: float, n: int, make: Make) -> list[float]:
    """The learning rate before each of n steps of torch's scheduler."""
    made = optimizer(base_lr)
    with warnings.catch_warnings(action="ignore"):
        theirs = make(made)
        rates = []
        for _ in range(n):
            rates.append(float(made.param_groups[0]["lr"]))
            theirs.step()
    return rates


def assert_agrees(ours: Schedule, base_lr: float, n: int, make: Make) -> None:
    rates = [ours.lr(base_lr, t) for t in range(n)]
    for own, theirs in zip(rates, rates_of(base_lr, n, make), strict=True):
        assert abs(own - theirs) <= TOLERANCE * base_lr


@many
@given(base_lrs, lengths, st.integers(1, 50), st.floats(0.01, 1))
def test_step(base_lr: float, n: int, step_size: int, gamma: float) -> None:
    assert_agrees(Step(step_size, gamma), base_lr, n, lambda made: StepLR(made, step_size, gamma))


@pytest.mark.slow
@many
@given(base_lrs, lengths, st.lists(st.integers(0, 60), min_size=1, max_size=6), st.floats(0.01, 1))
def test_multistep(base_lr: float, n: int, milestones: list[int], gamma: float) -> None:
    # At 0 torch's class, which acts on a step only, never comes by.
    milestones = [each or 1 for each in milestones]
    assert_agrees(MultiStep(tuple(milestones), gamma), base_lr, n, lambda made: MultiStepLR(made, milestones, gamma))


@many
@given(base_lrs, lengths, st.floats(0.01, 1), st.integers(1, 60))
def test_constant(base_lr: float, n: int, factor: float, t_max: int) -> None:
    assert_agrees(Constant(factor, t_max), base_lr, n, lambda made: ConstantLR(made, factor, t_max))


@many
@given(base_lrs, lengths, st.floats(0.5, 1), everies)
def test_exponential(base_lr: float, n: int, gamma: float, every: Every) -> None:
    assert_agrees(Exponential(gamma, every), base_lr, n, lambda made: ExponentialLR(made, gamma))


@many
@given(base_lrs, lengths, st.floats(0.01, 1), shares, st.integers(1, 60), everies)
def test_linear(base_lr: float, n: int, start: float, end: float, t_max: int, every: Every) -> None:
    ours = Linear(start, end, t_max, every)
    # torch multiplies the rate that it finds, and what is 0 stays 0: it is compared up to there.
    n = min(n, t_max) if end < 1e-3 else n
    assert_agrees(ours, base_lr, n, lambda made: LinearLR(made, start, end, t_max))


@many
@given(base_lrs, lengths, st.floats(0.1, 4), st.integers(1, 60), everies)
def test_polynomial(base_lr: float, n: int, power: float, t_max: int, every: Every) -> None:
    ours = Polynomial(power, 0.0, t_max, every)
    assert_agrees(ours, base_lr, n, lambda made: PolynomialLR(made, t_max, power))


@many
@given(base_lrs, lengths, lengths, shares, everies)
def test_cosine(base_lr: float, n: int, t_max: int, eta_share: float, every: Every) -> None:
    eta_min = eta_share * base_lr
    ours = Cosine(t_max, eta_min, every)
    assert_agrees(ours, base_lr, n, lambda made: CosineAnnealingLR(made, t_max, eta_min))


@many
@given(base_lrs, lengths, st.integers(1, 20), st.integers(1, 3), shares, everies)
def test_cosine_restarts(base_lr: float, n: int, t_0: int, t_mult: int, eta_share: float, every: Every) -> None:
    eta_min = eta_share * base_lr
    ours = CosineRestarts(3, t_0, t_mult, 1.0, eta_min, every)
    assert_agrees(ours, base_lr, n, lambda made: CosineAnnealingWarmRestarts(made, t_0, t_mult, eta_min))


@pytest.mark.slow
@many
@given(
    base_lrs, st.integers(4, 60), st.floats(0.05, 0.95), st.floats(1, 100), st.floats(1, 1e5),
    st.sampled_from(["cos", "linear"]), st.booleans(), st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
)  # fmt: skip
def test_onecycle(
    base_lr: float,
    total: int,
    pct_start: float,
    div: float,
    final_div: float,
    anneal: Literal["cos", "linear"],
    three_phase: bool,
    momenta: tuple[float, float],
) -> None:
    # torch counts points, and puts the top on point pct_start * total - 1: the same curve has this share.
    top = pct_start * total - 1
    pct_start = min(pct_start, 0.45) if three_phase else pct_start
    top = pct_start * total - 1
    if top <= 0:
        return
    shape: Literal["cosine", "linear"] = "cosine" if anneal == "cos" else "linear"
    ours = OneCycle(top / (total - 1), div, final_div, shape, three_phase, total - 1, "batch")
    options: dict[str, Any] = {
        "pct_start": pct_start,
        "div_factor": div,
        "final_div_factor": final_div,
        "three_phase": three_phase,
        "anneal_strategy": anneal,
    }
    assert_agrees(ours, base_lr, total - 1, lambda made: OneCycleLR(made, base_lr, total_steps=total, **options))
    lowest, highest = sorted(momenta)
    momentum = momentum_of(
        replace(ours, cycle_momentum=True, base_momentum=lowest, max_momentum=highest),
    )
    assert momentum
    options |= {"base_momentum": lowest, "max_momentum": highest}
    for kind in (SGD, Adam):
        made = optimizer(base_lr) if kind is SGD else Adam([torch.zeros(1)], base_lr)
        theirs = OneCycleLR(made, base_lr, total_steps=total, **options)
        for t in range(total - 1):
            group = made.param_groups[0]
            expected = group["momentum"] if kind is SGD else group["betas"][0]
            assert abs(momentum.lr(0.123, t) - expected) <= TOLERANCE
            with warnings.catch_warnings(action="ignore"):
                theirs.step()


metrics_lists = st.lists(
    st.floats(-10, 10) | st.sampled_from([1.0, 1.0, 0.5, math.nan, math.inf, -math.inf]), max_size=40
)


@pytest.mark.slow
@many
@given(
    base_lr=base_lrs,
    patience=st.integers(0, 5),
    factor=st.floats(0.05, 0.95),
    mode=st.sampled_from(["min", "max"]),
    threshold=st.floats(0, 0.1),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    cooldown=st.integers(0, 4),
    min_share=st.floats(0, 0.5),
    metrics=metrics_lists,
)
def test_plateau(
    base_lr: float,
    patience: int,
    factor: float,
    mode: Mode,
    threshold: float,
    threshold_mode: Literal["rel", "abs"],
    cooldown: int,
    min_share: float,
    metrics: list[float],
) -> None:
    made = optimizer(base_lr)
    options: dict[str, Any] = {
        "threshold": threshold,
        "threshold_mode": threshold_mode,
        "cooldown": cooldown,
        "min_lr": min_share * base_lr,
    }
    theirs = ReduceLROnPlateau(made, mode, factor, patience, **options)
    ours = Plateau(patience, factor, mode=mode, **options)
    by_name = ByName(
        "torch", "ReduceLROnPlateau", (("mode", mode), ("factor", factor), ("patience", patience), *options.items())
    )
    for epoch, metric in enumerate(metrics):
        expected = made.param_groups[0]["lr"]
        assert abs(ours.lr(base_lr, epoch, metrics[:epoch]) - expected) <= TOLERANCE * base_lr
        # As a tuple, whose fold is remembered.
        assert ours.lr(base_lr, epoch, tuple(metrics[:epoch])) == ours.lr(base_lr, epoch, metrics[:epoch])
        theirs.step(metric)
    if len(metrics) in (3, 7):
        assert by_name.lr(base_lr, len(metrics), tuple(metrics)) == made.param_groups[0]["lr"]


@settings(max_examples=200)
@given(base_lrs, st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))
def test_chain_is_sequential_lr(base_lr: float, first: int, second: int, third: int) -> None:
    last = Restart(Linear(0.5, 0.25, third))
    chain = Chain(((Linear(0.1, 1.0, first), first), (Restart(Cosine(second)), second), (last, None)))

    def make(made: Optimizer) -> LRScheduler:
        parts = [LinearLR(made, 0.1, 1.0, first), CosineAnnealingLR(made, second), LinearLR(made, 0.5, 0.25, third)]
        return SequentialLR(made, parts, [first, first + second])

    assert_agrees(chain, base_lr, first + second + third, make)


BY_NAME = [
    ("StepLR", {"step_size": 3}, StepLR),
    ("CosineAnnealingLR", {"T_max": 7}, CosineAnnealingLR),
    ("CyclicLR", {"base_lr": 1e-5, "max_lr": 1e-3, "step_size_up": 4}, torch.optim.lr_scheduler.CyclicLR),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 31}, OneCycleLR),
]


@pytest.mark.parametrize(("name", "arguments", "cls"), BY_NAME)
def test_classes_by_name_have_their_own_values_in_any_order(name: str, arguments: dict[str, Any], cls: Any) -> None:
    schedule = ByName("torch", name, tuple(arguments.items()))
    expected = rates_of(0.01, 30, lambda made: cls(made, **arguments))
    for t in (29, 0, 7, 7, 3):
        assert schedule.lr(0.01, t + 0.5) == expected[t]
    batches = replace(schedule, every="batch").fitted(Span(3, steps_per_epoch=10))
    assert [batches.lr(0.01, epoch + b / 10) for epoch in range(3) for b in range(10)] == expected


def test_warmup_wraps_a_class_by_name() -> None:
    inner = ByName("torch", "StepLR", (("step_size", 2),))
    rates = [Warmup(inner, 2).lr(0.1, t) for t in range(8)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert all(later <= earlier for earlier, later in pairwise(rates[2:]))
