"""A frozen network's features take the place of the images: the same training, at the cost of the classifier."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from clfctl import api
from clfctl.data.loader import BadImages
from clfctl.data.onlookers import Onlookers, no_bar
from clfctl.data.sources.base import FileImages, Part
from clfctl.engine.assemble import build_parts, make_trainer
from clfctl.engine.describe import describe_parts
from clfctl.engine.evaluate import evaluate
from clfctl.engine.head_only import obstacle
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.read_features import read_features
from clfctl.engine.trainer import Trainer
from clfctl.errors import DataError
from clfctl.models.custom import CustomModels
from clfctl.models.custom_cnn import CustomCNN
from clfctl.runs.folder import create_run
from clfctl.settings.groups import TrainSettings
from tests.engine.test_exact_resume import QUICK, few_digits, state_of, trainer_of
from tests.nobody import NOBODY

FROZEN = QUICK | {"freeze": "backbone"}


def trained(settings: TrainSettings, *, on_features: bool) -> Trainer:
    data = few_digits()
    trainer = make_trainer(build_parts(settings, data), create_run(Path("runs"), "{n}", ""))
    if on_features:
        read_features(trainer, data, NOBODY)
        assert trainer.features is not None
    list(trainer.epochs())
    return trainer


@pytest.mark.parametrize(
    "values",
    [
        {"dropout": 0.5, "optimizer": "adamw", "weight_decay": 0.1, "epochs": 2},
        {"model": "test_vit", "image_size": 160, "dropout": 0.3, "epochs": 2},
        {"model": "test_convnext", "balance": "sampler", "label_smoothing": 0.1, "epochs": 2},
        {"model": "custom", "dropout": 0.2, "balance": "loss", "clip_grad": 0.5, "accumulate": 4},
        {"unfreeze_at": 2, "dropout": 0.2, "optimizer": "sgd"},
    ],
    ids=["dropout", "vit", "convnext", "custom", "unfreeze"],
)
def test_training_on_features_is_that_on_images_to_rounding(values: dict[str, Any]) -> None:
    settings = TrainSettings.model_validate(FROZEN | values)
    with_features, without = (trained(settings, on_features=each) for each in (True, False))
    found, expected = state_of(with_features), state_of(without)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-5, msg=name)
    for ours, theirs in zip(with_features.state.cursor.history, without.state.cursor.history, strict=True):
        for name in ("train_loss", "val_loss", "val_top1"):
            assert ours.metrics[name] == pytest.approx(theirs.metrics[name], abs=1e-5), name
        assert (ours.lr_start, ours.lr) == (theirs.lr_start, theirs.lr)


def test_an_epoch_reads_no_image_and_computes_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(TrainSettings.model_validate(FROZEN))

    def fail(*_: object) -> None:
        raise AssertionError("the frozen network was computed")

    trainer.state.model.register_forward_pre_hook(fail)
    monkeypatch.setattr(type(trainer.train_loader), "_load", fail)
    assert len(list(trainer.epochs())) == 3


def test_a_run_goes_on_to_the_bit_when_the_kept_features_are_gone(cache: Path) -> None:
    settings = TrainSettings.model_validate(FROZEN | {"dropout": 0.5})
    whole = trainer_of(settings)
    list(whole.epochs())
    first = trainer_of(settings.model_copy(update={"epochs": 1}))
    list(first.epochs())
    kept = sorted(cache.rglob("*.features"))
    assert len(kept) == 2  # of training and of validation
    for path in kept:
        path.unlink()
    resumed = trainer_of(settings, first.saver.run)
    list(resumed.epochs())
    expected, found = state_of(whole), state_of(resumed)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert sorted(cache.rglob("*.features")) == kept


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def told_by(trainer: Trainer) -> tuple[bool, list[str]]:
    lines: list[str] = []
    read_features(trainer, few_digits(), Onlookers(lines.append, no_bar))
    return trainer.features is not None, lines


class Drawing(CustomCNN):
    """A network that draws before its features are pooled."""

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        return functional.dropout(super().forward_features(images), 0.1, self.training)


class Learning(CustomCNN):
    """A network with a normalization that has nothing to be frozen."""

    def __init__(self, n_classes: int) -> None:
        super().__init__(n_classes)
        self.neck = nn.BatchNorm2d(self.head.in_features, affine=False)

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        normalized: torch.Tensor = self.neck(super().forward_features(images))
        return normalized


class Deep(CustomCNN):
    """A network whose classifier is more than one layer."""

    def get_classifier(self) -> nn.Module:
        return nn.Sequential(nn.Identity(), self.head)


class Residual(CustomCNN):
    """A network that answers with more than its classifier."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) + images.mean()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Drawing, "custom draws more than the dropout before its classifier"),
        (Learning, "a batch normalization without weights goes on to learn"),
        (Residual, "the answers of custom are not made of its pooled features alone"),
        (Deep, ""),
    ],
)
def test_a_network_that_is_more_than_that_is_trained_as_usual(kind: type[CustomCNN], told: str) -> None:
    settings = TrainSettings.model_validate(FROZEN | {"model": "custom"})
    parts = build_parts(settings, few_digits())
    model = kind(10)
    optimizer = build_optimizer(settings, model, CustomModels())
    parts = replace(parts, built=replace(parts.built, model=model), optimizer=optimizer)
    trainer = make_trainer(parts, create_run(Path("runs"), "{n}", ""))
    is_on, lines = told_by(trainer)
    assert not is_on
    assert lines == ([f"The frozen network is computed again in every epoch: {told}"] if told else [])
    next(trainer.epochs())


CHANGED = {"augment": "light", "random_erasing": 0.1, "mixup": 0.2, "cutmix": 1.0, "drop_path": 0.1}


@pytest.mark.parametrize("name", CHANGED)
def test_what_makes_other_features_in_every_epoch_is_said(name: str) -> None:
    settings = TrainSettings.model_validate(FROZEN | {name: CHANGED[name]})
    parts = build_parts(settings, few_digits())
    (line,) = [line for line in describe_parts(parts) if "frozen network" in line]
    why = f"because of `{name}={CHANGED[name]:{'' if name == 'augment' else 'g'}}`"
    assert line == f"Note   the frozen network is computed again in every epoch, {why}: without, once"
    assert told_by(make_trainer(parts, create_run(Path("runs"), "{n}", ""))) == (False, [])


def test_a_teacher_is_in_the_way_only_if_it_is_listened_to() -> None:
    assert obstacle(TrainSettings.model_validate(FROZEN | {"distill": "runs/t"})) == "`distill=runs/t`"
    assert obstacle(TrainSettings.model_validate(FROZEN | {"distill": "runs/t", "distill_weight": 0})) == ""


def test_what_is_trained_decides() -> None:
    for values, is_on in (({"freeze": "4"}, False), ({"freeze": "5"}, True), ({"freeze": ""}, False),
                          ({"freeze": "stages"}, True), ({"freeze": "stages|bias"}, True)):  # fmt: skip
        settings = TrainSettings.model_validate(FROZEN | {"model": "custom"} | values)
        trainer = make_trainer(build_parts(settings, few_digits()), create_run(Path("runs"), "{n}", ""))
        assert told_by(trainer) == (is_on, []), values


@pytest.mark.parametrize("average", [{"ema": 0.99}, {"scheduler": "average"}], ids=["moving", "mean"])
def test_an_average_of_other_weights_than_the_frozen_ones_is_evaluated_on_images(average: dict[str, Any]) -> None:
    settings = TrainSettings.model_validate(QUICK | average)
    run = trained(settings.model_copy(update={"epochs": 1}), on_features=False).saver.run
    resumed = trainer_of(settings.model_copy(update={"epochs": 2, "freeze": "backbone"}), run)
    (result,) = resumed.epochs()
    state = resumed.state
    seen = evaluate(state.weights_to_use(), resumed.val_loader, state.precision, resumed.normalize)
    assert result.metrics["val_loss"] == pytest.approx(seen["val_loss"])
    is_on, (line,) = told_by(resumed)
    assert not is_on
    assert "an average of the weights" in line


def test_too_many_features_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clfctl.engine.read_features.IN_MEMORY", 1000)
    is_on, (line,) = told_by(trainer_of(TrainSettings.model_validate(FROZEN)))
    assert not is_on
    assert "of features are more than" in line


def test_features_that_cannot_be_kept_are_used_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = TrainSettings.model_validate(FROZEN | {"cache_dir": tmp_path / "file"})
    is_on, lines = told_by(make_trainer(build_parts(settings, few_digits()), create_run(Path("runs"), "{n}", "")))
    assert is_on
    assert all("are not kept for the next time: " in line for line in lines)
    assert len(lines) == 2


def test_images_that_cannot_be_read_have_no_features_and_are_noted_each_time(photos: Path) -> None:
    paths = sorted(photos.rglob("*.jpg"))
    paths[5].write_bytes(b"no image")
    part = Part(FileImages(paths, [n // 8 for n in range(24)]), range(24))
    data = replace(few_digits(), train=part, val=replace(part, indices=range(0, 24, 3)), classes=("a", "b", "c"))
    settings = TrainSettings.model_validate(FROZEN | {"model": "custom", "batch_size": 6, "epochs": 1})
    for _ in range(2):  # computed, then kept
        trainer = make_trainer(build_parts(settings, data), create_run(Path("runs"), "{n}", ""))
        read_features(trainer, data, NOBODY)
        assert [*trainer.train_loader.bad_images.found] == [str(paths[5])]
        assert len(list(trainer.epochs())) == 1
        assert trainer.features is not None
        whole = [index for batch in trainer.train_loader.batches(0) for index in batch.indices]
        seen = [index for batch in trainer.features.train.batches(0) for index in batch.indices]
        assert seen == whole
        assert 5 not in seen
        labels = torch.cat([batch.labels for batch in trainer.features.train.batches(0)])
        assert labels.tolist() == [index // 8 for index in seen]
    strict = replace(trainer.train_loader, bad_images=BadImages("error", 24))
    trainer.train_loader = strict
    with pytest.raises(DataError, match=r"5\.jpg cannot be read"):
        read_features(trainer, data, NOBODY)


@pytest.mark.slow
def test_train_says_it_and_a_second_run_has_them_already(cache: Path) -> None:
    settings: dict[str, Any] = {
        "data": "digits", "max_per_class": 3, "val_split": 0.5, "image_size": 32, "augment": "none",
        "freeze": "backbone", "epochs": 2, "export": False, "batch_size": 8,
    }  # fmt: skip
    api.train(**settings)
    (first, second) = sorted(cache.rglob("*.features"))
    written = first.stat().st_mtime_ns
    again = api.train(**settings, lr=0.5)
    assert sorted(cache.rglob("*.features")) == [first, second]
    assert first.stat().st_mtime_ns == written
    assert len(again.history) == 2
