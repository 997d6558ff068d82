"""greedy counts as transformers.GreedyLR: recorded numbers of its class, and the class itself where it is there."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clfctl.schedules import Greedy

BASE = 0.01
# Their defaults, as ours are called.
THEIRS = {"patience": 10, "factor": 0.95, "min_lr": 1e-3, "max_lr": 1.0}


def ours(metrics: list[float], **parameters: Any) -> list[float]:
    greedy = Greedy(**(THEIRS | {"mode": "min"} | parameters))
    return [greedy.lr(BASE, epoch, metrics[:epoch]) for epoch in range(1, len(metrics) + 1)]


# Made by stepping transformers.GreedyLR of version 5.24.0 with these metrics, from a rate of 0.01.
METRICS = [2.0, 1.8, 1.5, 1.6, 1.4, 1.2, 1.1, 1.0, 1.2, 1.3, 1.1, 1.2, 1.25, 1.3, 1.2, 1.3, 1.4, 0.9, 0.8, 0.85, 0.7,
           0.95, 1.0, 1.1]  # fmt: skip
RECORDED: list[tuple[dict[str, Any], list[float]]] = [
    (
        {"patience": 1, "factor": 0.5, "min_lr": 0.002, "max_lr": 0.05},
        [0.01, 0.02, 0.02, 0.02, 0.02, 0.04, 0.04, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.00625, 0.00625, 0.003125,
         0.003125, 0.003125, 0.00625, 0.00625, 0.00625, 0.00625, 0.003125, 0.003125],
    ),
    (
        {"patience": 0, "factor": 0.8, "min_lr": 0.005, "max_lr": 0.1, "cooldown": 1, "warmup": 2, "smooth": True,
         "window_size": 3},
        [0.012499999999999999, 0.012499999999999999, 0.012499999999999999, 0.015624999999999998, 0.015624999999999998,
         0.015624999999999998, 0.019531249999999997, 0.019531249999999997, 0.019531249999999997, 0.024414062499999993,
         0.024414062499999993, 0.024414062499999993, 0.019531249999999997, 0.019531249999999997, 0.015624999999999998,
         0.015624999999999998, 0.012499999999999999, 0.012499999999999999, 0.015624999999999998, 0.015624999999999998,
         0.015624999999999998, 0.019531249999999997, 0.019531249999999997, 0.019531249999999997],
    ),
    (
        {"patience": 0, "factor": 0.5, "min_lr": 0.004, "max_lr": 0.1, "reset_start": 2, "mode": "max",
         "threshold": 0.1, "threshold_mode": "rel"},
        [0.02, 0.01, 0.005, 0.004, 0.01, 0.02, 0.01, 0.005, 0.004, 0.01, 0.02, 0.01, 0.02, 0.01, 0.005, 0.004, 0.008,
         0.004, 0.01, 0.02, 0.01, 0.02, 0.01, 0.02],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "rates"), RECORDED)
def test_the_rates_that_their_class_gave(parameters: dict[str, Any], rates: list[float]) -> None:
    assert ours(METRICS, **parameters) == rates


parameters = st.fixed_dictionaries({
    "patience": st.integers(0, 3), "factor": st.floats(0.3, 0.99), "min_lr": st.floats(0, 0.01),
    "max_lr": st.floats(0.01, 0.1), "threshold": st.sampled_from([0.0, 1e-6, 0.1]),
    "threshold_mode": st.sampled_from(["rel", "abs"]), "mode": st.sampled_from(["min", "max"]),
    "cooldown": st.integers(0, 3), "warmup": st.integers(0, 3), "smooth": st.booleans(),
    "window_size": st.sampled_from([1, 3]),
    "reset_start": st.integers(0, 3), "eps": st.sampled_from([0.0, 1e-8, 1e-4]),
})  # fmt: skip
metrics = st.lists(st.one_of(st.floats(0, 5), st.sampled_from([1.0, 0.9, 2.0])), min_size=1, max_size=40)


@given(metrics, parameters)
def test_the_class_itself_gives_the_same(metrics: list[float], parameters: dict[str, Any]) -> None:
    optimization = pytest.importorskip("transformers.optimization")
    if not hasattr(optimization, "GreedyLR"):
        pytest.skip("this version of transformers has no GreedyLR")
    assert ours(metrics, **parameters) == theirs(optimization.GreedyLR, metrics, parameters)


def theirs(kind: Any, metrics: list[float], parameters: dict[str, Any]) -> list[float]:
    """Return the rate after each metric of their class, stepped with them one after the other."""
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    scheduler, rates = kind(optimizer, **parameters), list[float]()
    for metric in metrics:
        scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def test_a_metric_that_is_not_a_number_is_a_failure_and_spoils_no_mean() -> None:
    assert ours([1.0, math.nan], patience=0, factor=0.5)[-1] == BASE / 0.5 * 0.5
    assert ours([1.0, math.nan, 0.5], patience=0, factor=0.5, smooth=True, window_size=3)[-1] == BASE * 2
