"""From settings to the learning rate of a whole training: warmup, lengths, cooldown, and options that do not fit."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import timm.optim
import torch

from clfctl.errors import UsageError
from clfctl.planning.changes import change_settings
from clfctl.planning.plan import BETA2, Plan, keep_fitting, make_plan, refuse_cautions
from clfctl.schedules import (
    KINDS,
    ByName,
    Chain,
    Cooldown,
    Cosine,
    InverseSqrt,
    Linear,
    MultiStep,
    Plateau,
    Step,
    Warmup,
)
from clfctl.schedules.catalog import kind_options, kinds_with, summary_of
from clfctl.settings.groups import PlanSettings, TrainSettings
from clfctl.settings.sources import Resolved, resolve


def plan(steps_per_epoch: int | None = None, **values: object) -> Plan:
    return make_plan(PlanSettings.model_validate({"epochs": 10} | values), steps_per_epoch)


PLANS = [
    ({}, Step(5, 0.5)),
    ({"scheduler": "cosine"}, Cosine(10)),
    ({"scheduler": "cosine", "warmup": 2}, Warmup(Cosine(8), 2)),
    ({"scheduler": "cosine", "warmup": 2, "t_max": 10}, Warmup(Cosine(8), 2)),
    ({"scheduler": "cosine(t_max=10)", "warmup": 2}, Warmup(Cosine(8), 2)),
    ({"scheduler": "cosine", "warmup": 2, "t_max": 10, "warmup_inside": False}, Warmup(Cosine(10), 2)),
    ({"scheduler": "plateau", "monitor": "val_top1"}, Plateau(3, 0.5, mode="max")),
    ({"scheduler": "plateau", "plateau_mode": "min", "monitor": "val_top1"}, Plateau(3, 0.5, mode="min")),
    ({"scheduler": "multistep", "warmup": 2}, Warmup(MultiStep((4, 6)), 2)),
    ({"scheduler": "inverse-sqrt", "warmup": 2}, Warmup(InverseSqrt(2), 2)),
    ({"warmup": 1, "warmup_shape": "exponential"}, Warmup(Step(), 1, 0.01, "exponential")),
    ({"warmup": 1, "warmup_shape": "cosine", "warmup_start": 0.1}, Warmup(Step(), 1, 0.1, "cosine")),
    ({"warmup": "20%"}, Warmup(Step(), 2)),
    ({"early_stopping": 3, "cooldown": 2}, Cooldown(Step(), 2, 3, "min", 0.0, 10)),
    (
        {"scheduler": "step:5 > cosine(eta_min=1e-5)", "early_stopping": 3, "cooldown": 2},
        Cooldown(Chain(((Step(), 5), (Cosine(5, 1e-5), None))), 2, 3, "min", 1e-5, 10),
    ),
    (
        {"scheduler": "torch:ReduceLROnPlateau(patience=1)", "monitor": "val_top1"},
        ByName("torch", "ReduceLROnPlateau", (("patience", 1), ("mode", "max"))),
    ),
    (
        {"scheduler": "linear(start=0.1):2 > cosine:50% > plateau", "warmup": 1},
        Warmup(Chain(((Linear(0.1, None, 2), 2), (Cosine(4.5), 4.5), (Plateau(mode="min"), None))), 1),
    ),
]


@pytest.mark.parametrize(("values", "schedule"), PLANS)
def test_plans(values: dict[str, Any], schedule: object) -> None:
    assert plan(**values).schedule == schedule


def test_warmup_outside_is_trained_in_addition() -> None:
    outside = plan(scheduler="cosine", warmup=1.5, warmup_inside=False)
    assert outside.epochs == 12
    assert outside.lr(1.5) == 1e-4
    assert plan(scheduler="cosine", warmup=1.5).epochs == 10


def test_warmup_in_batches_needs_their_number() -> None:
    assert plan(250, warmup="500b").schedule == Warmup(Step(), 2)
    with pytest.raises(UsageError, match="the length of 500b") as caught:
        plan(warmup="500b")
    assert "`steps_per_epoch=`" in caught.value.hint


def test_auto_warmup_is_that_of_ma_and_yarats() -> None:
    assert plan(1000, warmup="auto").schedule == Warmup(Step(), 2)
    short = plan(50, warmup="auto")
    assert short.schedule == Warmup(Step(), 5)
    assert "warmup auto is 2000 steps, 40 epochs: shortened to half of the training" in short.cautions[0]
    with pytest.raises(UsageError, match="sgd has none"):
        plan(50, warmup="auto", optimizer="sgd")


@pytest.mark.parametrize("name", BETA2)
def test_second_moments_are_those_of_the_optimizers(name: str) -> None:
    cls = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}.get(name) or timm.optim.get_optimizer_class(
        name, bind_defaults=False
    )
    assert inspect.signature(cls).parameters["betas"].default[1] == BETA2[name]


def test_last_epoch_follows_early_stopping_and_cooldown() -> None:
    stopping = plan(early_stopping=2)
    assert stopping.last_epoch((1.0, 0.9)) == 10
    assert stopping.last_epoch((1.0, 1.0, 1.0)) == 3
    cooling = plan(early_stopping=2, cooldown=3)
    assert cooling.last_epoch((1.0, 1.0, 1.0, 0.1, 0.1)) == 6
    # With less left than the cooldown is long, it is as much shorter.
    cut = plan(early_stopping=2, cooldown=30, scheduler="constant")
    stuck = (1.0,) * 9
    assert cut.last_epoch(stuck) == 10
    assert [cut.lr(t, stuck[: int(t)]) for t in (3, 6.5, 10)] == pytest.approx([1e-4, 5e-5, 0])


def fitting(*texts: str, **typed: str) -> Resolved[TrainSettings]:
    return keep_fitting(resolve(TrainSettings, typed), texts)


UNFIT = [
    (
        {"t_max": "50"},
        "t_max: 50 (from the command line) is a parameter of cosine, linear",
        "'step'",
        "leave out `t_max=`",
    ),
    ({"scheduler": "cosine", "patience": "3"}, "patience: 3", "parameter of plateau", "use `scheduler=plateau`"),
    ({"scheduler": "cosine:3 > step", "t_max": "3"}, "t_max: 3", "'cosine:3 > step'", "cosine(t_max=…)"),
    (
        {"scheduler": "cosine(t_max=5)", "t_max": "3"},
        "t_max: 3",
        "is stated in 'cosine(t_max=5)' too",
        "state it once",
    ),
    ({"scheduler": "torch:StepLR(step_size=3)", "gamma": "0.1"}, "gamma: 0.1", "torch:StepLR", "expression"),
]


@pytest.mark.parametrize(("typed", "start", "inside", "hint"), UNFIT)
def test_a_parameter_of_another_kind_is_refused(typed: dict[str, str], start: str, inside: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        fitting(**typed)
    assert str(caught.value).startswith(start)
    assert inside in str(caught.value)
    assert hint in caught.value.hint


def test_a_parameter_of_a_weaker_source_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = fitting(recipe="long-cosine", scheduler="step").settings.model_dump()
    assert (settings["t_max"], settings["eta_min"], settings["epochs"]) == (None, None, 50)
    assert fitting(recipe="long-cosine").settings.model_dump()["t_max"] == 50
    # For the data set's step, not for the user's cosine.
    assert fitting(data="digits", scheduler="cosine").settings.model_dump()["step_size"] is None
    assert fitting(data="digits").settings.model_dump()["step_size"] == 3
    monkeypatch.setenv("CLFCTL_PATIENCE", "7")
    assert fitting(scheduler="plateau").settings.model_dump()["patience"] == 7
    assert fitting(scheduler="cosine").settings.model_dump()["patience"] is None
    with pytest.raises(UsageError, match="from the environment"):
        fitting()


SEEDS = {"scheduler": "plateau", "patience": "5", "gamma": "0.3", "warmup": "2"}
OLDER: list[tuple[dict[str, str], str, str, float]] = [
    (SEEDS, "", "", 0.3),
    ({}, "scheduler = 'plateau'\nscheduler_gamma = 0.3", "", 0.3),
    ({}, "", "CLFCTL_SCHEDULER=plateau\nCLFCTL_GAMMA=0.3", 0.3),
    ({"scheduler": "plateau(gamma=0.3)"}, "", "", 0.3),
    (SEEDS | {"factor": "0.3"}, "", "", 0.3),
    (SEEDS | {"recipe": "efficientnet-laptop"}, "", "", 0.3),
    (SEEDS, "factor = 0.9", "", 0.3),
    (SEEDS | {"recipe": "conservative", "gamma": "0.8"}, "", "", 0.8),
    # One that a weaker source states was meant for its own schedule.
    ({"scheduler": "plateau"}, "gamma = 0.3", "", 0.5),
    ({"scheduler": "plateau", "recipe": "aggressive"}, "", "", 0.5),
    ({"scheduler": "plateau", "factor": "0.4"}, "gamma = 0.3", "", 0.4),
]


@pytest.mark.parametrize(("typed", "toml", "env", "factor"), OLDER)
def test_gamma_is_the_factor_of_plateau(typed: dict[str, str], toml: str, env: str, factor: float) -> None:
    Path("clfctl.toml").write_text(toml)
    Path(".env").write_text(env)
    settings = fitting(**typed).settings
    schedule = make_plan(settings).schedule
    inner = schedule.inner if isinstance(schedule, Warmup) else schedule
    assert isinstance(inner, Plateau)
    assert inner.factor == factor
    assert settings.model_dump()["gamma"] is None


TWICE = [
    (SEEDS | {"factor": "0.5"}, "gamma: 0.3 (from the command line) is an older name of `factor=`, which is 0.5"),
    (
        {"scheduler": "plateau", "gamma": "1"},
        "1 (from the command line) is not allowed as the factor; it must",
    ),
    ({"scheduler": "plateau(factor=0.5)", "gamma": "0.3"}, "0.3 (from the command line) is stated in 'plateau("),
    ({"scheduler": "plateau(factor=0.5, gamma=0.3)"}, "factor is given twice"),
]


@pytest.mark.parametrize(("typed", "message"), TWICE)
def test_a_factor_stated_twice_is_refused(typed: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        fitting(**typed)
    assert message in str(caught.value)


def test_an_older_option_stays_for_the_kind_that_it_belongs_to() -> None:
    settings = fitting("plateau", "step", gamma="0.3").settings.model_dump()
    assert (settings["gamma"], settings["factor"]) == (0.3, 0.3)


def test_a_run_takes_gamma_for_its_factor_when_it_is_resumed() -> None:
    saved = TrainSettings.model_validate({"scheduler": "plateau", "factor": 0.5})
    settings, changes = change_settings(saved, {"gamma": 0.3})
    assert settings.model_dump()["factor"] == 0.3
    assert [str(change) for change in changes] == ["`factor=` 0.5 → 0.3"]


def test_a_parameter_may_be_for_one_of_several_previews() -> None:
    assert fitting("cosine", "step", t_max="30").settings.model_dump()["t_max"] == 30
    with pytest.raises(UsageError, match="'plateau' and 'step'"):
        fitting("plateau", "step", t_max="30")


def test_the_lowest_rate_may_be_that_of_a_cooldown() -> None:
    assert fitting(eta_min="1e-6", cooldown="2", early_stopping="3").settings.eta_min == 1e-6
    assert plan(eta_min=1e-6, cooldown=2, early_stopping=3).schedule == Cooldown(Step(), 2, 3, "min", 1e-6, 10)


def test_strict_makes_a_caution_an_error() -> None:
    settings = PlanSettings(lr=2, strict=True)
    with pytest.raises(UsageError, match="strict: the learning rate reaches 2"):
        refuse_cautions(settings, make_plan(settings))
    refuse_cautions(PlanSettings(lr=2), make_plan(PlanSettings(lr=2)))


def test_kinds_that_share_an_option_mean_the_same_by_it() -> None:
    for option in kind_options():
        (_, first), *others = kinds_with(option)
        for name, parameter in others:
            assert (parameter.type, parameter.limits) == (first.type, first.limits), (option, name)


def test_every_kind_is_documented() -> None:
    for name, kind in KINDS.items():
        assert summary_of(kind).endswith("."), name
        text = kind.__doc__ or ""
        assert "torch.optim" in text or "arXiv" in text, f"{name} names no source"
