"""Channels-last where it holds, plain memory where it does not: no model takes the process down."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from clfctl.engine.memory_format import CONTIGUOUS, format_of, lay_out, why_plain
from clfctl.models.custom_cnn import CustomCNN
from clfctl.models.factory import rebuild_model
from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.header import CHANNELS_LAST
from clfctl.settings.groups import TrainSettings
from tests.engine.test_exact_resume import QUICK, trainer_of

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("model", "size", "reason"),
    [
        ("custom", 32, ""),
        ("efficientnet_b0", 32, ""),
        ("test_vit", 160, ""),
        ("repvgg_a0", 32, "not safe on CPUs for its layer stem.conv_1x1.conv"),
        ("mobileone_s0", 32, "not safe on CPUs for its layer stem."),
        ("fastvit_t8", 64, "not safe on CPUs for its layer stem."),
        ("lambda_resnet26t", 256, "it has a convolution of three dimensions"),
    ],
)
def test_a_model_is_laid_out_by_its_layers(model: str, size: int, reason: str) -> None:
    made = rebuild_model(model, 10, TrainSettings(model=model), size)
    lay_out(made, CPU)
    assert reason in why_plain(made)
    assert format_of(made) == (CONTIGUOUS if reason else CHANNELS_LAST)
    weights = [each for each in made.parameters() if each.ndim == 4 and min(each.shape[1:3]) > 1]
    assert all(each.is_contiguous() == bool(reason) for each in weights)


class Strided(nn.Module):
    """The layer that channels-last does not hold for, and the seen strides of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 48, 1, stride=2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the layer makes of images that are plain by now."""
        assert images.is_contiguous()
        features: torch.Tensor = self.layer(images)
        return features


def test_images_in_channels_last_memory_become_plain() -> None:
    model = Strided()
    lay_out(model, CPU)
    images = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    assert torch.equal(model(images), model.layer(images.contiguous()))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["repvgg_a0", "mobileone_s0", "fastvit_t8"])
def test_training_does_not_take_the_process_down(model: str) -> None:
    words = ("--model", model, "--no-pretrained", "--image-size", "64", "--val-split", "0.03", "--epochs", "1")
    command = [
        sys.executable,
        "-m",
        "clfctl",
        "train",
        *words,
        "--batch-size",
        "8",
        "--max-per-class",
        "5",
        "--no-export",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "plain memory: channels-last is not safe on CPUs for its layer" in done.stderr


@pytest.mark.parametrize("memory_format", [CHANNELS_LAST, CONTIGUOUS])
def test_a_resumed_run_keeps_its_memory_format(memory_format: str) -> None:
    settings = TrainSettings.model_validate(QUICK)
    trainer = trainer_of(settings)
    if memory_format == CONTIGUOUS:
        lay_out(trainer.state.model, CPU, CONTIGUOUS)
    trainer.save_last()
    assert load_checkpoint(trainer.saver.run.last).header.memory_format == memory_format
    resumed = trainer_of(settings, trainer.saver.run)
    assert format_of(resumed.state.model) == memory_format
    assert why_plain(resumed.state.model) == ("as the run began" if memory_format == CONTIGUOUS else "")


def test_a_check_costs_next_to_nothing() -> None:
    """It looks at layers, and computes nothing: on the device that no memory is behind it works too."""
    with torch.device("meta"):
        model = CustomCNN(10)
    lay_out(model, torch.device("meta"))
    assert format_of(model) == CHANNELS_LAST
