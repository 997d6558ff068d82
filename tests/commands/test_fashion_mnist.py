"""A part of Fashion-MNIST, real images from Debian's package: learned, with the schedule pairs of the old project."""

from dataclasses import replace
from pathlib import Path

import pytest

from clfctl.data.sources.base import Part
from clfctl.data.sources.idx import SYSTEM_FOLDERS
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import build_parts, make_trainer
from clfctl.runs.folder import create_run
from clfctl.settings.groups import TrainSettings


@pytest.mark.slow
@pytest.mark.usefixtures("real_cnn")
@pytest.mark.skipif(
    not SYSTEM_FOLDERS["fashion-mnist"].is_dir(), reason="Debian's dataset-fashion-mnist is not installed"
)
def test_a_part_of_fashion_mnist_is_learned() -> None:
    settings = TrainSettings(
        data="fashion-mnist",
        image_size=32,
        augment="none",
        epochs=3,
        lr=1e-3,
        scheduler="cosine",
        warmup=1,
        batch_size=64,
    )
    data = open_data(settings, 0)
    data = replace(
        data,
        train=Part(data.train.source, data.train.indices[:1200]),
        val=Part(data.val.source, data.val.indices[:300]),
    )
    trainer = make_trainer(build_parts(settings, data), create_run(Path("runs"), "{n}", ""))
    results = list(trainer.epochs())
    assert results[-1].metrics["val_top1"] > 0.75
    assert results[-1].metrics["train_loss"] < results[0].metrics["train_loss"] / 2
