"""How many epochs a length of time is: what was measured decides, within what is stated; nothing else changes."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from clfctl import api
from clfctl.data.onlookers import no_line
from clfctl.data.sources.base import Part
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import Parts, build_parts, plan_of
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.rehearsal import rehearsal
from clfctl.engine.time_budget import Pace, fit_time, measure_pace
from clfctl.errors import ClfctlError, UsageError
from clfctl.models.custom import CustomModels
from clfctl.planning.changes import change_settings, stated_in
from clfctl.planning.plan import keep_fitting, make_plan
from clfctl.planning.time_limit import epochs_that_fit, within_time
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import ResumeSettings, TrainSettings
from clfctl.settings.optimization import MAX_EPOCHS
from clfctl.settings.sources import from_fields, resolve

SLEEP_S = 0.02
N_BATCHES = 3


class Slow(nn.Module):
    """A network of which the time of a step is known; `norm` and `drop` would change where it is trained on."""

    drop_rate = 0.5

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop, self.head = nn.BatchNorm2d(3), nn.Dropout(self.drop_rate), nn.Linear(3, 10)

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(SLEEP_S)
        normalized: torch.Tensor = self.norm(images)
        return normalized

    def forward_head(self, features: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        pooled: torch.Tensor = self.drop(features.mean((2, 3)))
        logits: torch.Tensor = pooled if pre_logits else self.head(pooled)
        return logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(images))

    def get_classifier(self) -> nn.Module:
        return self.head


def slow_parts(**values: object) -> Parts:
    quick = {"image_size": 32, "augment": "none", "batch_size": 8, "workers": 0}
    settings = TrainSettings.model_validate(quick | values)
    whole = open_data(settings, 0)
    data = replace(whole, train=Part(whole.train.source, whole.train.indices[:24]),
                   val=Part(whole.val.source, whole.val.indices[:16]))  # fmt: skip
    parts = build_parts(settings, data)
    model = Slow()
    return replace(
        parts, built=replace(parts.built, model=model), optimizer=build_optimizer(settings, model, CustomModels())
    )


def test_the_epochs_are_those_that_fit() -> None:
    parts = slow_parts(time="10s", scheduler="cosine")
    before = {name: value.clone() for name, value in parts.built.model.state_dict().items()}
    state = torch.get_rng_state()
    fitted, lines = fit_time(parts, no_line)
    # Three batches of training and two of validation at least.
    assert 1 <= fitted.settings.epochs <= 10 / (5 * SLEEP_S)
    assert fitted.settings.time == ""
    assert lines[0].startswith(f"Time   {fitted.settings.epochs} epoch")
    assert plan_of(fitted).lr(fitted.settings.epochs) == pytest.approx(0, abs=1e-12)
    # It was measured on copies.
    assert fitted.built.model is parts.built.model
    assert all(torch.equal(value, before[name]) for name, value in parts.built.model.state_dict().items())
    assert not parts.optimizer.state
    assert torch.equal(torch.get_rng_state(), state)


def test_epochs_on_features_are_measured_as_such_and_the_features_once() -> None:
    settings = {"freeze": "backbone", "time": "4s", "epochs": 10**6}
    on_features = fit_time(slow_parts(**settings), no_line)[0].settings.epochs
    whole = fit_time(slow_parts(**settings, augment="light"), no_line)[0].settings.epochs
    later = fit_time(slow_parts(**settings, unfreeze_at=1), no_line)[0].settings.epochs
    assert on_features > 3 * max(whole, later)
    # Two batches of each part, before the first epoch.
    assert fit_time(slow_parts(**settings), no_line, spent_s=4 - 4 * SLEEP_S)[0].settings.epochs == 1


@pytest.mark.slow
def test_what_is_gone_already_counts() -> None:
    fitted, lines = fit_time(slow_parts(time="1h"), no_line, spent_s=3600)
    assert fitted.settings.epochs == 1
    assert "`time=1h`; it is trained all the same" in lines[1]


@pytest.mark.slow
def test_stated_epochs_are_the_limit() -> None:
    fitted, lines = fit_time(slow_parts(time="1h", epochs=7), no_line)
    assert fitted.settings.epochs == 7
    assert "`epochs=7` is the limit" in lines[1]


@pytest.mark.slow
def test_a_schedule_that_is_refused_is_refused_when_its_length_is_known() -> None:
    with pytest.raises(UsageError, match="step changes every 5 epochs") as caught:
        fit_time(slow_parts(time="1h", epochs=3, scheduler="step", step_size=5, strict=True), no_line)
    assert caught.value.field == "strict"


def test_what_does_not_fit_into_memory_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: nn.Module, images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError(f"CUDA out of memory: {len(images)} images.")

    monkeypatch.setattr(Slow, "forward_features", full)
    with pytest.raises(ClfctlError, match=r"the memory of cpu .* is too small for 8 images at once"):
        fit_time(slow_parts(time="10s"), no_line)


def test_the_pace_is_that_of_steps_validation_and_saves() -> None:
    parts = slow_parts()
    with rehearsal(parts) as trainer:
        pace = measure_pace(trainer, 0.2)
        assert trainer.saver.run.last.is_file()
    assert not trainer.saver.run.path.exists()
    assert pace.step_s >= SLEEP_S
    assert pace.validation_s >= 2 * SLEEP_S
    assert pace.save_s > 0
    assert Pace(2, 3, 4).epoch_s(10) == 27


@pytest.mark.parametrize("warmup", ["2", "10%", "7b", "100%"])
@pytest.mark.parametrize("fitting", [1.0, 3.7, 20.0, 1e5])
def test_a_warmup_beside_the_epochs_counts(warmup: str, fitting: float) -> None:
    settings = TrainSettings(warmup=warmup, warmup_inside=False, scheduler="cosine")
    epochs = epochs_that_fit(settings, N_BATCHES, fitting)

    def whole(n: int) -> int:
        return make_plan(settings.model_copy(update={"epochs": n}), N_BATCHES).epochs

    assert epochs == 1 or whole(epochs) <= fitting
    assert whole(epochs + 1) > fitting
    assert epochs_that_fit(TrainSettings(warmup=warmup), N_BATCHES, fitting) == int(fitting)


def test_no_more_than_can_be_planned() -> None:
    assert epochs_that_fit(TrainSettings(), 1, 1e12) == MAX_EPOCHS


def test_what_a_weaker_source_says_of_the_length_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def lengths(**fields: object) -> tuple[bool, object]:
        found = within_time(keep_fitting(from_fields(TrainSettings, fields))).settings
        return "epochs" in found.model_fields_set, found.model_dump()["t_max"]

    # digits and the recipe say how many epochs; both are weaker than an argument.
    assert lengths(time="1h") == (False, None)
    assert lengths(recipe="long-cosine") == (True, 50)
    assert lengths(recipe="long-cosine", time="1h") == (False, None)
    assert lengths(recipe="long-cosine", time="1h", epochs=9) == (True, None)
    monkeypatch.setenv("CLFCTL_EPOCHS", "9")
    assert "epochs" not in within_time(resolve(TrainSettings, {"time": "1h"})).settings.model_fields_set
    monkeypatch.setenv("CLFCTL_TIME", "1h")
    assert within_time(resolve(TrainSettings, {})).settings.epochs == 9


@pytest.mark.slow
def test_a_run_keeps_the_epochs_that_were_chosen(photos: Path) -> None:
    quick: dict[str, Any] = {"image_size": 32, "batch_size": 6, "workers": 0, "export": False, "val_split": 0.25}
    trained = api.train(data=str(photos), model="test_efficientnet", pretrained=False, time="3s", **quick)
    assert any(each.startswith("Time   ") for each in trained.notes)
    assert 1 <= len(trained.history) == trained.planned_epochs
    config = RunFolder(trained.run).config.read_text(encoding="utf-8")
    assert f"epochs = {trained.planned_epochs}\n" in config
    assert 'time = ""\n' in config
    # It is finished: nothing is measured again.
    assert api.resume(trained.run).planned_epochs == trained.planned_epochs


def test_it_cannot_be_stated_for_a_run_that_has_begun() -> None:

    stated = stated_in(from_fields(ResumeSettings, {"time": "2h"}))
    with pytest.raises(UsageError, match="`epochs=N` trains longer") as caught:
        change_settings(TrainSettings(), stated)
    assert caught.value.field == "time"
