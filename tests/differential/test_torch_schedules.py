"""Our formulas against torch's classes: the same to 1e-12 of base_lr over random configurations."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau, StepLR

from clfctl.schedules import Cosine, Plateau, Schedule, Step

TOLERANCE = 1e-12
EPOCHS = 40
base_lrs = st.floats(1e-6, 10)


def optimizer(lr: float) -> Optimizer:
    return SGD([torch.zeros(1, requires_grad=True)], lr)


def assert_agrees(ours: Schedule, base_lr: float, made: Optimizer, theirs: LRScheduler) -> None:
    for epoch in range(EPOCHS):
        assert abs(ours.lr(base_lr, epoch + 0.5) - made.param_groups[0]["lr"]) <= TOLERANCE * base_lr
        made.step()
        theirs.step()


@settings(max_examples=200)
@given(base_lrs, st.integers(1, 50), st.floats(0.01, 1))
def test_step(base_lr: float, step_size: int, gamma: float) -> None:
    made = optimizer(base_lr)
    assert_agrees(Step(step_size, gamma), base_lr, made, StepLR(made, step_size, gamma))


@settings(max_examples=200)
@given(base_lrs, st.integers(1, 60), st.floats(0, 1))
def test_cosine(base_lr: float, t_max: int, eta_share: float) -> None:
    made = optimizer(base_lr)
    eta_min = eta_share * base_lr
    assert_agrees(Cosine(t_max, eta_min), base_lr, made, CosineAnnealingLR(made, t_max, eta_min))


@settings(max_examples=300)
@given(
    base_lr=base_lrs,
    patience=st.integers(0, 5),
    factor=st.floats(0.05, 0.95),
    mode=st.sampled_from(["min", "max"]),
    threshold=st.floats(0, 0.1),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    cooldown=st.integers(0, 4),
    min_share=st.floats(0, 0.5),
    metrics=st.lists(st.floats(-10, 10) | st.sampled_from([1.0, 0.5, float("nan"), float("inf")]), max_size=40),
)
def test_plateau(base_lr, patience, factor, mode, threshold, threshold_mode, cooldown, min_share, metrics) -> None:
    made = optimizer(base_lr)
    options = {
        "threshold": threshold,
        "threshold_mode": threshold_mode,
        "cooldown": cooldown,
        "min_lr": min_share * base_lr,
    }
    theirs = ReduceLROnPlateau(made, mode, factor, patience, **options)
    ours = Plateau(patience, factor, mode=mode, **options)
    for epoch, metric in enumerate(metrics):
        assert abs(ours.lr(base_lr, epoch, metrics[:epoch]) - made.param_groups[0]["lr"]) <= TOLERANCE * base_lr
        theirs.step(metric)
