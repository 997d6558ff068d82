"""Which epoch's weights are kept as best: by its own metric, and against the weights that there are."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clfctl.api import Trained
from clfctl.commands.next_steps import summary
from clfctl.engine.device import seed_step
from clfctl.errors import UsageError
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.runs.best import Criterion, criterion_of, kept_of
from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.history import EpochResult
from clfctl.settings.groups import TrainSettings
from tests.engine.test_trainer import settings_of, small_trainer, trainer_of


def epochs(*values: dict[str, float]) -> list[EpochResult]:
    return [EpochResult(i + 1, 1.0, 1.0, each, False, 1.0, 1.0) for i, each in enumerate(values)]


def of(top1: float, loss: float) -> dict[str, float]:
    return {"val_top1": top1, "val_loss": loss, "train_loss": loss}


NAN = math.nan
TABLE = [
    ("the larger share, though its loss is larger", "val_top1", [of(0.93, 0.19), of(0.94, 0.20)], 2),
    ("of equal shares the smaller loss", "val_top1", [of(0.9, 0.3), of(0.9, 0.2), of(0.9, 0.25)], 2),
    ("of equal shares and losses the first", "val_top1", [of(0.9, 0.3), of(0.9, 0.3)], 1),
    ("the smaller loss", "val_loss", [of(0.9, 0.3), of(0.8, 0.2)], 2),
    ("monitor: of equal ones the first, as ever", "monitor", [of(0.9, 0.3), of(0.8, 0.3)], 1),
    ("NaN is never best", "val_top1", [of(NAN, NAN), of(0.5, 0.9), of(NAN, 0.1)], 2),
    ("without validation images by the monitored one", "val_top1", [of(NAN, 0.5), of(NAN, 0.4)], 2),
]


@pytest.mark.parametrize(("keep_best", "values", "best"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_best_epoch(keep_best: str, values: list[dict[str, float]], best: int) -> None:
    history = epochs(*values)
    found = criterion_of(keep_best, "train_loss" if math.isnan(values[-1]["val_top1"]) else "val_loss", history)
    chosen = found.best_of(history)
    assert chosen is not None
    assert chosen.epoch == best


def test_none_is_best_of_none() -> None:
    assert Criterion("val_top1").best_of([]) is None
    assert Criterion("val_top1").best_of(epochs({"val_loss": 1.0})) is None


@pytest.mark.parametrize("keep_best", METRICS)
def test_the_weights_kept_are_those_of_the_best_epoch(keep_best: str) -> None:
    trainer = small_trainer(settings_of(keep_best=keep_best, epochs=4, lr=0.5))
    weights = {}
    for result in trainer.epochs():
        weights[result.epoch] = trainer.state.model.state_dict()["2.bias"].clone()
    history = trainer.state.cursor.history
    kept, best = kept_of(history), Criterion(keep_best).best_of(history)
    assert kept == best
    assert kept is not None
    assert torch.equal(load_checkpoint(trainer.saver.run.best).tensors["model.2.bias"], weights[kept.epoch])


@pytest.mark.slow
def test_after_a_change_a_new_epoch_is_measured_against_the_weights_that_there_are() -> None:
    """The third epoch is not the best by the new metric, but better than the one whose weights are kept."""
    trainer = trainer_of(settings_of(epochs=3, keep_best="val_top1", lr=1e-3))
    before = epochs(of(0.05, 0.1), of(1.0, 9.0))
    trainer.saver.save_best(trainer.state)
    trainer.state.cursor.history = [replace(before[0], is_best=True), before[1]]
    trainer.state.cursor.epoch = 2
    (result,) = trainer.epochs()
    assert 0.05 < result.metrics["val_top1"] < 1
    assert result.is_best
    saved = load_checkpoint(trainer.saver.run.best)
    assert len(saved.header.history) == 3


@pytest.mark.slow
def test_weights_that_were_removed_are_beaten_by_any() -> None:
    trainer = trainer_of(settings_of(epochs=2, lr=1e-3))
    trainer.state.cursor.history = [replace(each, is_best=True) for each in epochs(of(1.0, 0.0))]
    trainer.state.cursor.epoch = 1
    assert trainer.best() is None
    (result,) = trainer.epochs()
    assert result.is_best
    assert trainer.best() == result


def test_a_metric_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="'val_top' is not a metric") as caught:
        TrainSettings(keep_best="val_top")
    assert caught.value.field == "keep_best"


def test_dropout_on_mps_is_drawn_from_seed_and_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no such device here: only that its generator is seeded with what that of the CPU is."""
    seeds: list[int] = []
    monkeypatch.setattr(torch.mps, "manual_seed", seeds.append)
    for seed, step in ((1, 2), (1, 3), (1, 2)):
        seed_step(torch.device("mps"), seed, step)
        assert torch.default_generator.initial_seed() == seeds[-1]
    assert seeds[0] == seeds[2] != seeds[1]


def trained(monitor: str, best_metric: str, history: list[EpochResult]) -> list[str]:
    best = kept_of(history)
    record = Trained(Path("runs/r"), tuple(history), best, monitor, best_metric, 3, False, {}, None, ())
    return [line for line in summary(record) if line.startswith("Best") or "kept" in line]


def test_the_summary_names_both_where_the_metrics_disagree() -> None:
    history = epochs(of(0.90, 0.3), of(0.93, 0.19), of(0.94, 0.20))
    history = [replace(result, is_best=True) for result in history]
    assert trained("val_loss", "val_top1", history) == [
        "Best: epoch 3, val accuracy 94.00 %, val loss 0.2000.",
        "Best by val_loss was epoch 2 (0.1900); the weights that are kept are the best by val_top1.",
    ]
    assert len(trained("val_top1", "val_top1", history)) == 1


def test_the_summary_says_that_weights_are_gone() -> None:
    history = epochs(of(0.90, 0.19), of(0.94, 0.3))
    history[0] = replace(history[0], is_best=True)
    lines = trained("val_top1", "val_top1", history)
    assert lines[0].startswith("Best: epoch 1, ")
    assert lines[-1] == "Epoch 2 was better by val_top1, but its weights were not kept."
