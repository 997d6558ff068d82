"""A range test makes the very steps of the training, changes nothing, and says so where it cannot tell anything."""

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import clfctl
from clfctl.data.onlookers import Onlookers, no_bar, no_line
from clfctl.data.sources.base import Data, Part
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import Parts, build_parts, make_trainer
from clfctl.engine.device import seed_step
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.rate_search import Search, find_rate, sweep_rates
from clfctl.errors import ClfctlError, UsageError
from clfctl.finding.sweep import Extent
from clfctl.planning.changes import change_settings
from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.folder import RunFolder, create_run
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import from_fields

NOBODY = Onlookers(no_line, no_bar)
SHORT = Extent(1e-5, 10.0, 30)
QUICK: dict[str, object] = {
    "data": "digits", "image_size": 16, "batch_size": 16, "workers": 0, "model": "resnet9_small", "lr": 1e-3,
}  # fmt: skip
# As `lr=auto` does, in fewer steps.
AUTO = Search(Extent(1e-5, 10.0, 60), 2, 60.0)
# By which the sweeps of a tiny network agree.
STEADY: dict[str, Any] = {"optimizer": "adam", "batch_size": 64, "n": 640, "lr": 5.0}


@cache
def digits() -> Data:
    return open_data(TrainSettings(), 0)


class Tiny(nn.Module):
    """A network whose step takes a millisecond; `scale` is what its logits are multiplied by."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scale, self.norm, self.drop = scale, nn.BatchNorm2d(3), nn.Dropout(0.2)
        self.head = nn.Linear(3 * 8 * 8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = nn.functional.avg_pool2d(self.norm(images), 2).flatten(1)
        logits: torch.Tensor = self.scale * self.head(self.drop(pooled))
        return logits


def parts_of(model: nn.Module | None = None, n: int = 400, **values: object) -> Parts:
    settings = TrainSettings.model_validate(QUICK | values)
    data = digits()
    parts = build_parts(settings, replace(data, train=Part(data.train.source, data.train.indices[:n])))
    if model is None:
        return parts
    return replace(parts, built=replace(parts.built, model=model), optimizer=build_optimizer(settings, model))


def state_of(parts: Parts) -> dict[str, torch.Tensor]:
    return {name: each.clone() for name, each in parts.built.model.state_dict().items()}


STEPS: dict[str, dict[str, Any]] = {
    "plain": {},
    "mixed and in parts": {"mixup": 0.4, "accumulate": 4, "label_smoothing": 0.1, "clip_grad": 0.1},
    "augmented": {"augment": "light", "random_erasing": 0.2, "loss": "focal", "balance": "loss"},
    "half": {"amp": "bf16", "cutmix": 1.0, "loss": "bce"},
}


@pytest.mark.parametrize("values", STEPS.values(), ids=STEPS)
def test_its_steps_are_those_of_the_training(values: dict[str, Any]) -> None:
    torch.manual_seed(0)
    parts = parts_of(Tiny(), **values)
    (sweep,) = sweep_rates(parts, Search(SHORT, 1), NOBODY).sweeps
    trainer = make_trainer(parts, create_run(Path("runs"), "{n}", ""))
    losses, batches = list[float](), trainer.begin(0).batches(0)
    for number, (rate, batch) in enumerate(zip(SHORT.rates()[:10], batches, strict=False)):
        for group in trainer.state.optimizer.param_groups:
            group["lr"] = rate
        seed_step(torch.device("cpu"), 0, number)
        losses.append(trainer.step(batch, number).item())
    assert list(sweep.losses[:10]) == losses


def test_nothing_is_changed_and_the_same_is_found_again() -> None:
    parts = parts_of(Tiny(), optimizer="adamw", weight_decay=0.1, ema=0.9)
    before, state = state_of(parts), torch.get_rng_state()
    found = sweep_rates(parts, Search(SHORT, 2), NOBODY)
    assert all(torch.equal(each, before[name]) for name, each in parts.built.model.state_dict().items())
    assert not parts.optimizer.state
    assert torch.equal(torch.get_rng_state(), state)
    first, second = found.sweeps
    assert (first.seed, second.seed) == (0, 1)
    assert first.losses != second.losses
    assert sweep_rates(parts, Search(SHORT, 2), NOBODY) == found
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_rate_is_found_between_too_small_and_too_large() -> None:
    found = sweep_rates(parts_of(Tiny(), **STEADY), AUTO, NOBODY)
    assert found.is_trusted, found.doubts
    assert {each.end for each in found.sweeps} == {"diverged"}
    assert found.lr is not None
    assert 1e-4 < found.lr < 1
    assert [each.name for each in found.suggestions] == ["valley", "steepest", "slide", "minimum"]


def test_groups_keep_their_ratios_and_what_is_frozen_stays_so() -> None:
    parts = parts_of(layer_decay=0.5, freeze="1", unfreeze_at=2)
    before = state_of(parts)
    found = sweep_rates(parts, Search(SHORT, 1), NOBODY)
    shares = list(found.shares.values())
    assert max(shares) == 1
    assert sorted(shares) == shares
    assert all(math.isclose(b / a, 2) for a, b in pairwise(shares))
    assert any("what rises is `lr=`, and the" in each for each in found.notes)
    assert any("`freeze=1`" in each and "after epoch 2" in each for each in found.notes)
    assert all(torch.equal(each, before[name]) for name, each in parts.built.model.state_dict().items())


@pytest.mark.parametrize("optimizer", ["lion", "lamb", "muon", pytest.param("kron", marks=pytest.mark.slow)])
def test_optimizers_with_rules_of_their_own(optimizer: str) -> None:
    found = sweep_rates(parts_of(Tiny(), optimizer=optimizer), Search(SHORT, 1), NOBODY)
    assert len(found.sweeps[0].losses) > 8


def test_a_loss_that_is_no_number_at_once_is_not_for_the_rate() -> None:
    with pytest.raises(ClfctlError, match="the very first loss is not finite, at a rate of 1e-05"):
        sweep_rates(parts_of(Tiny(math.nan)), Search(SHORT, 1), NOBODY)


def test_rates_that_do_nothing_are_not_trusted() -> None:
    found = sweep_rates(parts_of(Tiny()), Search(Extent(1e-9, 1e-7, 50), 2), NOBODY)
    assert not found.is_trusted
    assert "too noisy to trust" in found.doubts[0]


def test_few_batches_come_back() -> None:
    found = sweep_rates(parts_of(Tiny(), n=20), Search(SHORT, 1), NOBODY)
    assert any("an epoch has 2 batches, so that a sweep shows each image 15 times" in each for each in found.notes)


@pytest.mark.slow
def test_a_training_takes_what_is_found() -> None:
    parts = parts_of(Tiny(), find_lr=True, **STEADY)
    told = list[str]()
    found, lines = find_rate(parts, Onlookers(told.append, no_bar), search=AUTO)
    rate = found.settings.lr
    assert 1e-4 < rate < 1
    assert rate != STEADY["lr"]
    assert not found.settings.find_lr
    assert lines[0].startswith(f"Found  `lr={rate:g}`: 2 sweeps of 60 steps, ")
    assert found.optimizer.param_groups[0]["initial_lr"] == rate
    assert found.built.model is parts.built.model
    assert told == ["Rate   a range test looks for `lr=`, in 60 s at most"]
    assert find_rate(found, NOBODY) == (found, [])


@pytest.mark.parametrize("seconds", [1e-9, 0.02])
def test_where_there_is_no_time_the_rate_stays(seconds: float) -> None:
    search = Search(seconds=seconds)
    found, lines = find_rate(parts_of(Tiny(), find_lr=True), NOBODY, search=search)
    assert found.settings.lr == QUICK["lr"]
    assert not found.settings.find_lr
    assert lines[0].startswith("Warning: no learning rate was found: a step takes ")
    assert lines[0].endswith("`lr=0.001` is trained with.")
    with pytest.raises(UsageError, match="no learning rate was found") as caught:
        find_rate(parts_of(Tiny(), find_lr=True, strict=True), NOBODY, search=search)
    assert caught.value.field == "lr"


@pytest.mark.slow
def test_a_schedule_is_checked_with_the_rate_that_was_found() -> None:
    strict: dict[str, Any] = {"find_lr": True, "strict": True, "scheduler": "cosine", "eta_min": 0.9, **STEADY}
    with pytest.raises(UsageError, match=r"the lowest learning rate of cosine is 0\.9") as caught:
        find_rate(parts_of(Tiny(), **strict), NOBODY, search=AUTO)
    assert caught.value.field == "strict"


def test_a_run_that_has_begun_does_not_look_for_a_rate() -> None:
    with pytest.raises(UsageError, match="`clfctl lr-find RUN` finds one") as caught:
        change_settings(TrainSettings(), {"find_lr": True})
    assert caught.value.field == "find_lr"


RATES: list[tuple[dict[str, object], str, tuple[float, bool]]] = [
    ({"lr": "auto"}, "", (1e-3, True)),  # of the digits, where none is found
    ({"lr": " AUTO"}, "lr = 0.02", (0.02, True)),
    ({"find_lr": True}, "lr = 0.02", (0.02, True)),
    ({}, 'lr = "auto"', (1e-3, True)),
    ({"lr": 0.5}, 'lr = "auto"', (0.5, False)),
    ({"lr": 0.5}, "find_lr = true", (0.5, False)),
    ({"find_lr": False}, 'lr = "auto"', (1e-3, False)),
    ({"lr": "auto"}, "lr = 0.02\nfind_lr = false", (0.02, True)),  # as a run's own file has it
]


@pytest.mark.parametrize(("typed", "text", "expected"), RATES)
def test_the_strongest_source_says_whether_a_rate_is_looked_for(
    typed: dict[str, object], text: str, expected: tuple[float, bool]
) -> None:
    Path("c.toml").write_text(text, encoding="utf-8")
    settings = from_fields(TrainSettings, {**typed, "config": "c.toml"}).settings
    assert (settings.lr, settings.find_lr) == expected


FIELDS: dict[str, Any] = {
    "data": "digits", "image_size": 8, "batch_size": 64, "workers": 0, "model": "resnet9_small", "val_split": 0.8,
    "scheduler": "cosine", "augment": "light", "dropout": 0.1, "export": False,
}  # fmt: skip
FIND: dict[str, Any] = {"steps": 25, "repeats": 1}


def tensors_of(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(RunFolder(run).last).tensors


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, trained in this process before any range test of this module that trains."""
    return clfctl.train(**FIELDS, epochs=2, runs_dir=tmp_path_factory.mktemp("find")).run


@pytest.mark.slow
def test_a_training_after_a_range_test_has_the_same_bits(trained: Path) -> None:
    clfctl.find_lr(**FIND, **FIELDS, epochs=2)
    again = clfctl.train(**FIELDS, epochs=2).run
    ours, theirs = tensors_of(again), tensors_of(trained)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(each, theirs[name]) for name, each in ours.items())
    assert [each.name for each in Path("runs").iterdir()] == [again.name]


@pytest.mark.slow
def test_of_a_run_it_is_how_the_run_goes_on(trained: Path) -> None:
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    found = clfctl.find_lr(trained, start_lr=1e-8, end_lr=1.0, **FIND)
    assert any("has its 2 epochs: this is how it would go on with more `epochs=`" in each for each in found.notes)
    fresh = clfctl.find_lr(start_lr=1e-8, end_lr=1.0, **FIND, **FIELDS)
    # It has learned, and its optimizer has gathered: the first loss is that of its next batch.
    assert found.sweeps[0].losses[0] < 0.9 * fresh.sweeps[0].losses[0]
    more = clfctl.find_lr(trained, **FIND, epochs=8)
    assert any("epoch 3 of the run begins at " in each and "times its `lr=`" in each for each in more.notes)
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_of_its_best_checkpoint_it_is_a_new_training_from_there(trained: Path) -> None:
    best = RunFolder(trained).best
    found = clfctl.find_lr(best, **FIND)
    assert any("best.safetensors has weights alone" in each for each in found.notes)
    assert found.sweeps[0].losses == clfctl.find_lr(**FIND, **FIELDS, start_from=best).sweeps[0].losses
