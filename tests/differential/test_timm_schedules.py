"""Our formulas with warmup against timm's schedulers, where the semantics coincide.

Where they do not is a table in docs/lr-scheduling.md; `test_differences_are_those_of_the_guide` holds its rows.
"""

import math
import warnings
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm import scheduler as timm_schedulers
from torch.optim import SGD

from clfctl.schedules import (
    WSD,
    ByName,
    Chain,
    Cosine,
    CosineRestarts,
    InverseSqrt,
    Linear,
    MultiStep,
    Plateau,
    Polynomial,
    Schedule,
    Step,
    Warmup,
)

TOLERANCE = 1e-12
base_lrs = st.floats(1e-6, 10)
warmups = st.integers(0, 5)
many = settings(max_examples=1000)

DecayShape = Literal["linear", "cosine", "1-sqrt"]


def timm_rates(name: str, base_lr: float, n: int, metrics: list[float] | None = None, **options: Any) -> list[float]:
    optimizer = SGD([torch.zeros(1)], base_lr)
    with warnings.catch_warnings(action="ignore"):
        made = getattr(timm_schedulers, name)(optimizer, **options)
    rates = []
    for epoch in range(n):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        made.step(epoch + 1, metrics[epoch] if metrics else None)
    return rates


def with_warmup(inner: Schedule, warmup: int) -> Schedule:
    return Warmup(inner, warmup) if warmup else inner


def assert_agrees(ours: Schedule, base_lr: float, theirs: list[float]) -> None:
    for epoch, expected in enumerate(theirs):
        assert abs(ours.lr(base_lr, epoch) - expected) <= TOLERANCE * base_lr


@many
@given(base_lrs, st.integers(2, 50), st.floats(0, 1), warmups)
def test_cosine(base_lr: float, t_max: int, eta_share: float, warmup: int) -> None:
    eta_min = eta_share * base_lr
    theirs = timm_rates(
        "CosineLRScheduler",
        base_lr,
        warmup + t_max,
        t_initial=t_max,
        lr_min=eta_min,
        warmup_t=warmup,
        warmup_prefix=True,
    )
    assert_agrees(with_warmup(Cosine(t_max, eta_min), warmup), base_lr, theirs)


@many
@given(base_lrs, st.integers(2, 12), st.floats(0.3, 1), warmups, st.floats(0, 0.2))
def test_cosine_restarts_with_decay(base_lr: float, t_0: int, decay: float, warmup: int, eta_share: float) -> None:
    theirs = timm_rates(
        "CosineLRScheduler", base_lr, warmup + 3 * t_0, t_initial=t_0, cycle_decay=decay, cycle_limit=3,
        lr_min=eta_share * base_lr, warmup_t=warmup, warmup_prefix=True,
    )  # fmt: skip
    ours = CosineRestarts(3, t_0, 1.0, decay, eta_share * base_lr)
    assert_agrees(with_warmup(ours, warmup), base_lr, theirs)


@many
@given(base_lrs, st.integers(1, 20), st.floats(0.05, 1), warmups)
def test_step(base_lr: float, step_size: int, gamma: float, warmup: int) -> None:
    theirs = timm_rates(
        "StepLRScheduler", base_lr, 40, decay_t=step_size, decay_rate=gamma, warmup_t=warmup, warmup_prefix=True
    )
    assert_agrees(with_warmup(Step(step_size, gamma), warmup), base_lr, theirs)


@many
@given(base_lrs, st.lists(st.integers(2, 30), min_size=1, max_size=5, unique=True), st.floats(0.05, 1), warmups)
def test_multistep(base_lr: float, milestones: list[int], gamma: float, warmup: int) -> None:
    milestones = sorted(milestones)
    theirs = timm_rates(
        "MultiStepLRScheduler", base_lr, 40, decay_t=milestones, decay_rate=gamma, warmup_t=warmup, warmup_prefix=True
    )
    # timm counts the epoch after: see the guide.
    ours = MultiStep(tuple(each - 1 for each in milestones), gamma)
    assert_agrees(with_warmup(ours, warmup), base_lr, theirs)


@many
@given(base_lrs, st.integers(2, 50), st.floats(0.2, 3), st.floats(0, 1), warmups)
def test_polynomial(base_lr: float, t_max: int, power: float, eta_share: float, warmup: int) -> None:
    eta_min = eta_share * base_lr
    theirs = timm_rates(
        "PolyLRScheduler", base_lr, warmup + t_max, t_initial=t_max, power=power, lr_min=eta_min, warmup_t=warmup,
        warmup_prefix=True,
    )  # fmt: skip
    assert_agrees(with_warmup(Polynomial(power, eta_min, t_max), warmup), base_lr, theirs)


@pytest.mark.slow
@many
@given(
    base_lrs, st.integers(0, 4), st.floats(0.1, 0.9), st.integers(0, 3), warmups,
    st.lists(st.floats(0, 5) | st.sampled_from([1.0, math.nan]), min_size=8, max_size=30),
)  # fmt: skip
def test_plateau(
    base_lr: float, patience: int, factor: float, cooldown: int, warmup: int, metrics: list[float]
) -> None:
    theirs = timm_rates(
        "PlateauLRScheduler", base_lr, len(metrics), metrics, decay_rate=factor, patience_t=patience, mode="min",
        cooldown_t=cooldown, warmup_t=warmup, warmup_lr_init=base_lr / 10,
    )  # fmt: skip
    plateau = Plateau(patience, factor, cooldown=cooldown)
    ours = Warmup(plateau, warmup, 0.1) if warmup else plateau
    for epoch, expected in enumerate(theirs):
        assert abs(ours.lr(base_lr, epoch, metrics[:epoch]) - expected) <= TOLERANCE * base_lr


def test_differences_are_those_of_the_guide() -> None:
    """timm's defaults where they mean another thing: each line is a row of the guide's table."""
    # Without warmup_prefix the schedule's clock runs during warmup: what is left of the curve is steeper.
    theirs = timm_rates("CosineLRScheduler", 0.1, 10, t_initial=10, warmup_t=3)
    assert theirs[3] < 0.1
    assert Warmup(Cosine(7), 3).lr(0.1, 3) == 0.1
    # Past its one cycle timm's cosine stays at the lowest rate; ours climbs again, as torch's.
    assert timm_rates("CosineLRScheduler", 0.1, 13, t_initial=10)[12] == 0
    assert Cosine(10).lr(0.1, 12) > 0
    # Milestones of timm act an epoch earlier than those of torch.
    assert timm_rates("MultiStepLRScheduler", 0.1, 6, decay_t=[5], decay_rate=0.1)[4] == pytest.approx(0.01)
    assert MultiStep((5,), 0.1).lr(0.1, 4) == 0.1


def test_classes_by_name_have_their_own_values() -> None:
    schedule = ByName("timm", "TanhLRScheduler", (("t_initial", 10),))
    assert [schedule.lr(0.1, t) for t in range(12)] == timm_rates("TanhLRScheduler", 0.1, 12, t_initial=10)
    batches = ByName("timm", "CosineLRScheduler", (("t_initial", 40),), "batch", 10)
    assert [batches.lr(0.1, t / 10) for t in range(40)] == timm_rates("CosineLRScheduler", 0.1, 40, t_initial=40)


@many
@given(
    base_lrs, st.integers(2, 50), st.floats(0.05, 1), st.sampled_from(["linear", "cosine", "1-sqrt"]), st.floats(0, 1),
    warmups,
)  # fmt: skip
def test_wsd(base_lr: float, t_max: int, share: float, shape: DecayShape, eta_share: float, warmup: int) -> None:
    decay_t, eta_min = max(1, round(share * t_max)), eta_share * base_lr
    theirs = timm_rates(
        "WSDLRScheduler", base_lr, warmup + t_max + 2, t_initial=t_max, decay_t=decay_t, lr_min=eta_min, decay_fn=shape,
        warmup_t=warmup,
    )  # fmt: skip
    assert_agrees(with_warmup(WSD(decay_t / t_max, shape, eta_min, t_max), warmup), base_lr, theirs)


@many
@given(base_lrs, st.floats(0.1, 20), warmups)
def test_inverse_sqrt(base_lr: float, timescale: float, warmup: int) -> None:
    n = 40
    theirs = timm_rates(
        "WSDLRScheduler", base_lr, warmup + n - 1, t_initial=n, decay_t=1, stable_fn="rsqrt",
        stable_timescale=timescale, warmup_t=warmup,
    )  # fmt: skip
    assert_agrees(with_warmup(InverseSqrt(timescale), warmup), base_lr, theirs)


def test_inverse_sqrt_with_a_linear_end_is_a_chain() -> None:
    # Big Vision's: the decay multiplies a curve that goes on falling; a chain falls from where the curve ended.
    theirs = timm_rates("WSDLRScheduler", 0.1, 20, t_initial=20, decay_t=5, stable_fn="rsqrt", stable_timescale=2,
                        decay_fn="linear")  # fmt: skip
    chain = Chain(((InverseSqrt(2), 15), (Linear(1.0, 0.0, 5), None)))
    ours = [chain.lr(0.1, t) for t in range(20)]
    assert ours[:16] == pytest.approx(theirs[:16])
    assert ours[16:] == pytest.approx(theirs[16:], rel=0.2)
