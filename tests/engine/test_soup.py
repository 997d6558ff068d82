"""A soup is made of the best epochs that make it better, is saved as best only then, and once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clfctl.engine.check import check_metrics
from clfctl.engine.soup import cook
from clfctl.engine.trainer import Trainer
from clfctl.errors import UsageError
from clfctl.inference.trained import load_trained
from clfctl.models.start import build_from
from clfctl.runs.best import Criterion, best_epochs
from clfctl.runs.checkpoint import MODEL, load_checkpoint
from clfctl.runs.history import EpochResult
from clfctl.settings.base import FieldError
from clfctl.settings.groups import TrainSettings
from tests.engine.test_exact_resume import QUICK, trainer_of

SOUP = QUICK | {"soup": 2, "scheduler": "constant"}


def epoch(number: int, top1: float, loss: float = 1.0) -> EpochResult:
    return EpochResult(number, 0.1, 0.1, {"val_top1": top1, "val_loss": loss}, False, 1.0, 1.0)


def test_the_best_epochs_are_ranked_by_what_best_goes_by() -> None:
    nothing = float("nan")
    history = [epoch(1, 0.5), epoch(2, 0.9), epoch(3, 0.9, 0.5), epoch(4, nothing), epoch(5, 0.5), epoch(6, 0.7)]
    ranked = [each.epoch for each in best_epochs(history, Criterion("val_top1"), 10)]
    assert ranked == [3, 2, 6, 1, 5]
    assert [each.epoch for each in best_epochs(history, Criterion("val_top1"), 2)] == [3, 2]


@pytest.fixture
def trained() -> Trainer:
    trainer = trainer_of(TrainSettings.model_validate(SOUP))
    list(trainer.epochs())
    return trainer


def judged(monkeypatch: pytest.MonkeyPatch, top1: float) -> None:
    monkeypatch.setattr("clfctl.engine.soup.evaluate", lambda *_: {"val_top1": top1, "val_loss": 0.1})


def test_the_weights_of_the_best_epochs_are_kept_and_no_others(trained: Trainer) -> None:
    run, history = trained.saver.run, trained.state.cursor.history
    best = best_epochs(history, trained.criterion(), 2)
    assert run.ingredients() == sorted(run.ingredient(each.epoch) for each in best)
    assert load_checkpoint(run.ingredient(best[0].epoch)).part(MODEL).keys() == trained.state.model.state_dict().keys()
    first = load_checkpoint(run.best).part(MODEL)
    same = load_checkpoint(run.ingredient(best[0].epoch)).part(MODEL)
    assert all(torch.equal(each, same[name]) for name, each in first.items())


def test_a_better_mean_is_saved_as_best_and_made_once(trained: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    run, told = trained.saver.run, list[str]()
    parts = [load_checkpoint(path).part(MODEL) for path in run.ingredients()]
    judged(monkeypatch, 1.0)
    cook(trained, told.append)
    best = best_epochs(trained.state.cursor.history, trained.criterion(), 2)
    assert told[1].startswith(f"Soup   of epochs {best[0].epoch}, {best[1].epoch}: val_top1 1.0000 instead of ")
    made = load_checkpoint(run.best).part(MODEL)
    for name, each in made.items():
        if "weight" in name:
            torch.testing.assert_close(each, (parts[0][name] + parts[1][name]) / 2)
    assert json.loads(run.soup.read_text())["epochs"] == [each.epoch for each in best]
    # It is not taken for an epoch.
    epochs = f"epochs {best[0].epoch}, {best[1].epoch}"
    assert load_trained(run).notes == (f"best.safetensors is a soup, the mean of the weights of {epochs}",)
    settings = trained.state.settings.model_copy(update={"start_from": run.best, "soup": 0})
    assert f"(soup of {epochs})" in build_from(settings, load_checkpoint(run.best).header.classes).origin
    # Statistics were measured for the mean, and are not a mean.
    name = next(name for name in made if name.endswith("running_mean"))
    assert not torch.allclose(made[name], (parts[0][name] + parts[1][name]) / 2)
    again: list[str] = []
    cook(trained, again.append)
    assert again == []


def test_a_worse_mean_leaves_best_as_it_is(trained: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    run, told = trained.saver.run, list[str]()
    before = run.best.read_bytes()
    judged(monkeypatch, 0.0)
    cook(trained, told.append)
    assert "none of the others makes epoch" in told[-1]
    assert run.best.read_bytes() == before
    # Trained for longer, there are other epochs, and the soup is made again.
    longer = trainer_of(trained.state.settings.model_copy(update={"epochs": 4}), run)
    list(longer.epochs())
    judged(monkeypatch, 1.0)
    cook(longer, told.append)
    assert "it is saved as best" in told[-1]


@pytest.mark.slow
def test_a_soup_of_a_run_that_was_stopped_is_the_same(trained: Trainer) -> None:
    first = trainer_of(trained.state.settings.model_copy(update={"epochs": 2}))
    list(first.epochs())
    resumed = trainer_of(trained.state.settings, first.saver.run)
    list(resumed.epochs())
    found = []
    for each in (trained, resumed):
        told: list[str] = []
        cook(each, told.append)
        weights = [load_checkpoint(path).part(MODEL) for path in (each.saver.run.best, *each.saver.run.ingredients())]
        found.append((told, weights))
    (told_whole, whole), (told_resumed, stopped) = found
    assert told_whole == told_resumed
    for one, other in zip(whole, stopped, strict=True):
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_without_weights_that_were_kept_there_is_none_and_a_sentence(trained: Trainer) -> None:
    for path in trained.saver.run.ingredients():
        Path(path).unlink()
    told: list[str] = []
    cook(trained, told.append)
    assert told == ["Soup   not made: the weights of 0 of the best epochs are there, and it takes two"]


def test_a_later_epoch_has_to_beat_the_soup(trained: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained.saver.run
    judged(monkeypatch, 1.0)
    cook(trained, lambda _: None)
    souped = run.best.read_bytes()
    # No epoch can be better than all images right: neither one that goes on, nor a soup that is made again.
    monkeypatch.setattr("clfctl.engine.trainer.evaluate", lambda *_: {"val_top1": 0.999, "val_loss": 0.01})
    trained.plan = replace(trained.plan, epochs=trained.plan.epochs + 1)
    result = next(trained.epochs())
    assert not result.is_best
    judged(monkeypatch, 0.999)
    told: list[str] = []
    cook(trained, told.append)
    assert told[-1].endswith("is not better than the one of before, which stays")
    assert run.best.read_bytes() == souped
    again: list[str] = []
    cook(trained, again.append)
    assert again == []


def test_an_epoch_that_beats_the_soup_takes_its_place(trained: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained.saver.run
    judged(monkeypatch, 0.98)
    cook(trained, lambda _: None)
    monkeypatch.setattr("clfctl.engine.trainer.evaluate", lambda *_: {"val_top1": 0.999, "val_loss": 0.01})
    trained.plan = replace(trained.plan, epochs=trained.plan.epochs + 1)
    assert next(trained.epochs()).is_best
    assert not run.soup.exists()
    assert load_trained(run).notes == ()


def test_what_a_soup_cannot_be_is_a_sentence() -> None:
    with pytest.raises(FieldError, match="a soup of one epoch is that epoch"):
        TrainSettings(soup=1)
    with pytest.raises(UsageError, match="soup: what is in a soup is chosen by validation images"):
        check_metrics(TrainSettings(soup=3), 0, 10)
    for best in ("train_loss", "monitor"):
        with pytest.raises(UsageError, match=r"soup: .* and best goes by train_loss"):
            check_metrics(TrainSettings(soup=3, keep_best=best, monitor="train_loss"), 9, 10)
    check_metrics(TrainSettings(soup=3, monitor="train_loss"), 9, 10)
