"""A batch whose loss is not finite is kept, and computed again: the same bits, the image, the layer, the gradient."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from clfctl.data.sources.base import Data, Part
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import build_parts, make_trainer
from clfctl.engine.debug_batch import look_at, train_up_to
from clfctl.engine.non_finite import N_KEPT, record_of
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.trainer import Trainer
from clfctl.errors import CheckpointError, NonFiniteLossError, UsageError
from clfctl.runs.bad_batch import BadBatch
from clfctl.runs.folder import RunFolder, create_run
from clfctl.settings.groups import TrainSettings

QUICK: dict[str, object] = {
    "model": "test_efficientnet", "pretrained": False, "image_size": 32, "augment": "none", "batch_size": 16,
    "workers": 0, "epochs": 2, "lr": 1e-3, "dropout": 0.2,
}  # fmt: skip


def some_digits() -> Data:
    whole = open_data(TrainSettings(), 0)
    few = Part(whole.train.source, whole.train.indices[:80])
    return replace(whole, train=few, val=Part(whole.val.source, whole.val.indices[:16]))


def trainer_of(model: nn.Module | None = None, **values: object) -> Trainer:
    settings = TrainSettings.model_validate(QUICK | values)
    parts = build_parts(settings, some_digits())
    if model:
        parts = replace(parts, built=replace(parts.built, model=model), optimizer=build_optimizer(settings, model))
    return make_trainer(parts, create_run(Path("runs"), "{n}", ""))


class Breaking(nn.Module):
    """Puts out what is not finite for images whose first pixel is not as `normal`."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        marked = images[:, 0, 16, 16] > images[:, 0, 16, 16].median()
        return images / (~marked)[:, None, None, None]


def breaking() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), Breaking(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)
    )


def test_the_batch_is_kept_with_its_images_and_the_way_to_it() -> None:
    trainer = trainer_of(optimizer="sgd", lr=1e30, scheduler="constant")
    loader = trainer.train_loader
    with pytest.raises(NonFiniteLossError, match="the training loss is no longer finite: epoch 1, batch ") as caught:
        list(trainer.epochs())
    assert "clfctl debug-batch runs/1" in caught.value.hint
    found = BadBatch.read(trainer.saver.run)
    assert not math.isfinite(found.losses[-1])
    assert all(math.isfinite(each) for each in found.losses[:-1])
    assert len(found.losses) == len(found.gradient_norms) == found.batch + 1 <= N_KEPT
    assert found.rates == {"all": pytest.approx(1e30)}
    batch = [*loader.batches(0)][found.batch]
    assert [image.number for image in found.images] == list(batch.indices)
    assert [image.label for image in found.images] == batch.labels.tolist()
    assert found.images[0].name == f"digits image {found.images[0].number}"
    # Strict JSON, with the number of the step.
    text = trainer.saver.run.bad_batch.read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name))["step"] == found.step == found.batch


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{}, {"mixup": 0.8, "balance": "loss", "loss": "focal"}, {"accumulate": 4, "cutmix": 1.0, "label_smoothing": 0.1}],
)
def test_trained_up_to_it_has_the_same_bits(options: dict[str, Any]) -> None:
    trained = trainer_of(epochs=1, **options)
    made: list[float] = []
    trained.on_steps = lambda steps: made.extend(steps.losses)
    assert next(iter(trained.epochs()))
    norms = dict(trained.whole.norms)
    again, at = trainer_of(epochs=1, **options), 3
    seen: list[int] = []
    batch = train_up_to(again, at, seen.append)
    record = record_of("training loss", at, again.state, again.plan, again.train_loader, again.whole.norms)
    found = look_at(again, batch, record, 0)
    assert seen == [1] * at
    assert found.loss == made[at]
    assert math.hypot(*(each.norm for each in found.groups)) == pytest.approx(norms[at].item(), rel=1e-5)
    assert [loss for _, loss in found.images] == sorted((loss for _, loss in found.images), reverse=True)
    if "balance" not in options:
        assert sum(loss for _, loss in found.images) / 16 == pytest.approx(found.loss, rel=1e-5)
    assert found.first_bad is None
    assert not found.bad_weights
    assert found.largest[1] > 0
    assert not any(parameter.grad is not None for parameter in again.state.model.parameters())


def test_the_layer_and_the_images_are_named() -> None:
    trainer = trainer_of(breaking())
    batch = next(iter(trainer.train_loader.batches(0)))
    record = record_of("training loss", 0, trainer.state, trainer.plan, trainer.train_loader, ())
    found = look_at(trainer, batch, record, 0)
    assert found.first_bad is not None
    assert found.first_bad[:2] == ("1", "Breaking")
    assert found.first_bad.came_in
    bad = [not math.isfinite(loss) for _, loss in found.images]
    assert 0 < sum(bad) < 16
    assert bad == sorted(bad, reverse=True)
    assert found.groups[0].bad_parameter == "0.weight"
    assert math.isnan(found.groups[0].norm)


def test_weights_that_are_not_finite_are_named() -> None:
    trainer = trainer_of(breaking())
    with torch.no_grad():
        trainer.state.model.state_dict()["4.bias"][0] = math.inf
    batch = next(iter(trainer.train_loader.batches(0)))
    record = record_of("training loss", 0, trainer.state, trainer.plan, trainer.train_loader, ())
    assert look_at(trainer, batch, record, 0).bad_weights == ["4.bias"]


def test_a_record_that_is_not_there_or_damaged_is_a_sentence() -> None:
    run = RunFolder(Path())
    with pytest.raises(UsageError, match=r"has no bad_batch\.json"):
        BadBatch.read(run)
    for text in ("", "[]", '{"what": "training loss"}'):
        run.bad_batch.write_text(text, encoding="utf-8")
        with pytest.raises(CheckpointError, match="cannot be read"):
            BadBatch.read(run)
