"""`timm: --sched …` in our settings against timm's own factory, over random options: the same rate at every step."""

import math
import warnings
from argparse import Namespace
from typing import Any

import pytest
import torch
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from timm.scheduler.scheduler_factory import create_scheduler
from torch.optim import SGD

from clfctl.errors import UsageError
from clfctl.planning.foreign.translate import translate
from clfctl.planning.plan import make_plan
from clfctl.settings.groups import PlanSettings

TOLERANCE = 1e-12
# The defaults of timm's train.py.
DEFAULTS: dict[str, Any] = {
    "sched": "cosine", "sched_on_updates": False, "lr": 0.05, "lr_noise": None, "lr_noise_pct": 0.67,
    "lr_noise_std": 1.0, "lr_cycle_mul": 1.0, "lr_cycle_decay": 0.5, "lr_cycle_limit": 1, "lr_k_decay": 1.0,
    "warmup_lr": 1e-5, "min_lr": 0.0, "epochs": 300, "decay_milestones": [90, 180, 270], "decay_epochs": None,
    "warmup_epochs": 5, "warmup_prefix": False, "cooldown_epochs": 0, "patience_epochs": 10, "decay_rate": 0.1,
    "seed": 42, "eval_metric": "top1",
}  # fmt: skip
PER_EPOCH = 3


def theirs(options: dict[str, Any], metrics: list[float]) -> tuple[list[float], int]:
    """The rates of every update by timm's factory, stepped as its train.py does, and the epochs that it trains."""
    wanted = Namespace(**DEFAULTS | options)
    optimizer = SGD([torch.zeros(1)], wanted.lr)
    with warnings.catch_warnings(action="ignore"):
        made, epochs = create_scheduler(wanted, optimizer, PER_EPOCH)
    rates, update = [], 0
    for epoch in range(epochs):
        for _ in range(PER_EPOCH):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            update += 1
            if made is not None:
                made.step_update(update)
        if made is not None:
            made.step(epoch + 1, metrics[epoch % len(metrics)])
    return rates, epochs


def written(options: dict[str, Any]) -> str:
    """The options as they are typed for train.py."""
    words = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words += [option] if value else []
        elif isinstance(value, list):
            words += [option, *map(repr, value)]
        else:
            words += [option, str(value)]
    return "timm: " + " ".join(words)


def ours(options: dict[str, Any], metrics: list[float]) -> tuple[list[float], int, str]:
    found = translate(written(options), PER_EPOCH)
    plan = make_plan(PlanSettings.model_validate(found.settings), PER_EPOCH)
    seen = [metrics[epoch % len(metrics)] for epoch in range(plan.epochs)]
    rates = [
        rate(epoch + batch / PER_EPOCH)
        for epoch in range(plan.epochs)
        for rate in [plan.schedule.given(seen[:epoch], plan.base_lr)]
        for batch in range(PER_EPOCH)
    ]
    return rates, plan.epochs, str(found.settings["scheduler"])


def assert_same(options: dict[str, Any], metrics: list[float]) -> str:
    expected, n_expected = theirs(options, metrics)
    rates, n_epochs, text = ours(options, metrics)
    assert n_epochs == n_expected, text
    for step, (rate, other) in enumerate(zip(rates, expected, strict=True)):
        assert abs(rate - other) <= TOLERANCE * max(options["lr"], options.get("warmup_lr", 0)), (
            f"step {step} of {text}"
        )
    return text


def options_of(sched: str) -> st.SearchStrategy[dict[str, Any]]:
    """Random options of train.py: those that a schedule looks at, and those that all do."""
    every = {
        "sched": st.just(sched),
        "lr": st.floats(1e-4, 1.0),
        "epochs": st.integers(2, 24),
        "warmup_epochs": st.integers(0, 5),
        "warmup_lr": st.sampled_from([0.0, 1e-6, 1e-4, 2.0]),
        "warmup_prefix": st.booleans(),
        "min_lr": st.sampled_from([0.0, 1e-6, 1e-5]),
        "sched_on_updates": st.booleans(),
    }
    cycles = {
        "lr_cycle_mul": st.sampled_from([1.0, 1.0, 2.0, 1.5, 3.0, 0.5]),
        "lr_cycle_limit": st.sampled_from([1, 1, 2, 3]),
        "lr_cycle_decay": st.sampled_from([1.0, 0.5, 0.1]),
        "cooldown_epochs": st.integers(0, 4),
        "lr_k_decay": st.sampled_from([1.0, 1.0, 1.0, 1.5]),
    }
    falls = {"decay_epochs": st.sampled_from([0.2, 0.5, 2.0, 1.0]), "cooldown_epochs": st.integers(0, 4)}
    own: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "cosine": cycles,
        "poly": cycles | {"decay_rate": st.sampled_from([0.1, 0.5, 1.0, 2.0])},
        "tanh": cycles,
        "step": {
            "decay_epochs": st.sampled_from([1.0, 3.0, 2.4, 30.0]),
            "decay_rate": st.sampled_from([0.1, 0.97, 1.0]),
        },
        "multistep": {
            "decay_milestones": st.lists(st.integers(0, 25), min_size=1, max_size=4).map(sorted),
            "decay_rate": st.sampled_from([0.1, 0.5]),
        },
        "wsd": falls | {"lr_decay_fn": st.sampled_from(["1-sqrt", "linear", "cosine", "exp"])},
        "rsqrt": falls | {"lr_stable_timescale": st.sampled_from([1.0, 2.5, 10.0])},
        "constant": {},
        "none": {},
        "plateau": {
            "patience_epochs": st.integers(0, 4),
            "decay_rate": st.sampled_from([0.1, 0.5]),
            "eval_metric": st.sampled_from(["top1", "loss"]),
            "sched_on_updates": st.just(False),
        },
    }
    return st.fixed_dictionaries(every | own[sched])


SCHEDULES = ("cosine", "poly", "step", "multistep", "wsd", "rsqrt", "constant", "none", "plateau", "tanh")
ups_and_downs = st.lists(st.floats(0, 1) | st.sampled_from([0.5, 0.5, 0.25]), min_size=4, max_size=24)


def check(sched: str, data: st.DataObject, metrics: list[float]) -> None:
    options = data.draw(options_of(sched))
    try:
        theirs(options, metrics)
    except ValueError as error:
        # timm refuses a fall that does not fit, and has no logarithm where shorter and shorter cycles have ended.
        if "requires" in str(error):
            with pytest.raises(UsageError):
                ours(options, metrics)
        return
    assert_same(options, metrics)


@pytest.mark.parametrize("sched", SCHEDULES)
@settings(max_examples=8, phases=[Phase.generate])
@given(data=st.data(), metrics=ups_and_downs)
def test_every_step_is_as_theirs(sched: str, data: st.DataObject, metrics: list[float]) -> None:
    check(sched, data, metrics)


@pytest.mark.slow
@pytest.mark.parametrize("sched", SCHEDULES)
@settings(max_examples=300, phases=[Phase.generate])
@given(data=st.data(), metrics=ups_and_downs)
def test_every_step_is_as_theirs_over_many_options(sched: str, data: st.DataObject, metrics: list[float]) -> None:
    check(sched, data, metrics)


NATIVE = [
    ({"epochs": 300, "warmup_epochs": 5, "min_lr": 1e-5, "lr": 0.05}, "linear(start=0.0002, end=1, every=epoch):5 >> "
     "cosine(eta_min=1e-05)@5"),
    ({"epochs": 20, "warmup_epochs": 0, "lr": 0.1, "cooldown_epochs": 3}, "cosine:20 >> linear(start=0, end=0)"),
    ({"epochs": 10, "lr": 0.1, "warmup_epochs": 2, "warmup_prefix": True, "lr_cycle_limit": 3, "lr_cycle_decay": 0.5},
     "linear(start=0.0001, end=1, every=epoch):2 >> cosine-restarts(t_0=10, decay=0.5)"),
    ({"sched": "step", "lr": 0.1, "epochs": 90, "decay_epochs": 30, "warmup_epochs": 0},
     "step(step_size=30, gamma=0.1)"),
    ({"sched": "rsqrt", "lr": 0.1, "epochs": 20, "warmup_epochs": 5}, "linear(start=0.0001, end=1, every=epoch):5 >> "
     "wsd(decay=0.2, shape=linear, every=epoch) * inverse-sqrt(timescale=5, every=epoch)"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "text"), NATIVE)
def test_usual_options_need_no_library(options: dict[str, Any], text: str) -> None:
    assert assert_same(options, [0.5]) == text


BY_NAME = [
    {"lr_noise": [0.4, 0.9], "epochs": 20, "lr": 0.1},
    {"lr_noise": [0.4], "epochs": 20, "lr": 0.1, "sched_on_updates": True},
    {"sched": "step", "decay_epochs": 2.4, "decay_rate": 0.97, "epochs": 30, "lr": 0.1, "warmup_epochs": 3},
    {"lr_cycle_mul": 3.0, "lr_cycle_limit": 6, "epochs": 2, "lr": 0.1, "warmup_epochs": 0},
]


@pytest.mark.parametrize("options", BY_NAME)
def test_what_no_kind_has_is_their_class(options: dict[str, Any]) -> None:
    assert assert_same(options, [0.5]).startswith("timm:")


@example(batch=128, accumulated=1, opt="sgd")
@given(batch=st.integers(1, 4096), accumulated=st.integers(1, 8), opt=st.sampled_from(["sgd", "adamw", "lamb"]))
def test_without_a_rate_it_is_that_of_the_batch(batch: int, accumulated: int, opt: str) -> None:
    found = translate(f"timm: --batch-size {batch} --grad-accum-steps {accumulated} --opt {opt}")
    share = batch * accumulated / 256
    assert math.isclose(found.settings["lr"], 0.1 * (share if opt == "sgd" else share**0.5))
    assert "no rate is stated: timm takes" in found.notes[0]
