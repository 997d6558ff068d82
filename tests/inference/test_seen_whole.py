"""Seen whole: the same pixels in training, evaluation, prediction by torch and by model.onnx, and in the picture."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import Result

from clfctl.data.pixels.transform import Preprocess
from clfctl.inference.export import difference, to_onnx
from clfctl.inference.onnx_predictor import start_onnx
from clfctl.inference.trained import load_trained
from clfctl.models.card import Card
from clfctl.models.custom_cnn import CustomCNN
from clfctl.runs.folder import RunFolder
from clfctl.settings.image_size import Rectangle

Cli = Callable[..., Result]
SEEN = Preprocess(Rectangle(32, 64), 1.0, fit="letterbox")


@pytest.fixture
def strips(tmp_path: Path) -> Path:
    """Strips of 120 x 30 that only their ends tell apart: the middle, which a crop would show, is grey."""
    draw = np.random.default_rng(0)
    for name, colour in (("blue", (20, 20, 230)), ("red", (230, 20, 20))):
        (tmp_path / "strips" / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.full((30, 120, 3), 128)
            pixels[:, :20] = pixels[:, 100:] = colour
            pixels = (pixels + draw.integers(-20, 21, pixels.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "strips" / name / f"{number}.png")
    return tmp_path / "strips"


def trained(cli: Cli, strips: Path, *words: str) -> Result:
    """Train on images of 32 by 64 pixels."""
    quick = ("--image-size", "32x64", "--lr", "3e-3", "--batch-size", "4", "--run-name", "r")
    result = cli("train", "--data", str(strips), *quick, *words)
    assert result.exit_code == 0, result.stderr
    return result


def test_it_is_said_and_kept_in_the_checkpoint(cli: Cli, strips: Path) -> None:
    result = trained(cli, strips, "--fit", "letterbox", "--crop-scale", "0.6..1", "--epochs", "1", "--no-export")
    assert "Images 32 × 64 pixels of each, bilinear: all of it, framed (--fit letterbox)" in result.stderr
    model = load_trained(RunFolder(Path("runs/r")))
    assert model.info.preprocess == SEEN
    assert model.settings.crop_scale.pair == (0.6, 1.0)
    resumed = cli("resume", "runs/r", "--fit", "crop")
    assert resumed.exit_code == 2
    assert "--fit: cannot change in a run that has begun: the model would see its images another way" in resumed.stderr


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["letterbox", "reflect", "stretch"])
def test_all_commands_see_the_same(fit: str, cli: Cli, strips: Path) -> None:
    trained(cli, strips, "--fit", fit, "--cache", "disk", "--epochs", "3", "--model", "resnet9_small")
    seen = load_trained(RunFolder(Path("runs/r"))).info.preprocess
    assert seen == replace(SEEN, fit=fit)  # type: ignore[arg-type]  # one of them
    report = cli("eval", "runs/r", "--tta", "4", "--json")
    assert report.exit_code == 0, report.stderr
    by_onnx = cli("predict", "runs/r", str(strips), "--format", "json")
    assert "ONNX Runtime" in by_onnx.stderr
    Path("runs/r/model.onnx").unlink()
    by_torch = cli("predict", "runs/r", str(strips), "--format", "json")
    assert by_onnx.exit_code == by_torch.exit_code == 0
    for ours, theirs in zip(json.loads(by_onnx.stdout), json.loads(by_torch.stdout), strict=True):
        assert ours["class"] == theirs["class"] == Path(ours["image"]).parent.name
        assert ours["probability"] == pytest.approx(theirs["probability"], abs=0.02)


@pytest.mark.slow
def test_an_exported_model_takes_rectangles_and_says_what_it_sees() -> None:
    torch.manual_seed(0)
    model, card = CustomCNN(2).eval(), Card("custom", ("a", "b"), replace(SEEN, interpolation="bicubic"))
    exported = start_onnx(Path("m.onnx"), to_onnx(model, card), n_threads=1)
    assert exported.info == card
    noise = np.random.default_rng(0).integers(0, 256, (3, 40, 90, 3), np.uint8)
    pixels = np.stack([exported.look(each)[0] for each in noise])
    assert pixels.shape == (3, 32, 64, 3)
    assert difference(exported, model, card, pixels) < 1e-4


def test_the_picture_shows_what_the_model_gets(cli: Cli, strips: Path) -> None:
    words = ("--image-size", "32x64", "--fit", "letterbox", "--augment", "none", "--batch-size", "4", "--cache", "ram")
    result = cli("train", "--data", str(strips), *words, "--show-batch", "batch.png")
    assert result.exit_code == 0, result.stderr
    assert "4 images of 64 × 32 pixels" in result.stderr
    pixels = np.asarray(Image.open("batch.png").convert("RGB")).astype(int)
    frame = np.array([round(255 * each) for each in SEEN.mean])
    # The strips are 16 of 32 pixels high: half of each is frame.
    n_framed = (np.abs(pixels - frame).max(axis=2) == 0).sum()
    scale = 4 * 32 * 64
    assert n_framed % (scale // 2) == 0
    assert n_framed > 0


def test_what_does_nothing_is_said(cli: Cli, strips: Path) -> None:
    words = ("--image-size", "32", "--augment", "none", "--crop-scale", "0.5..1", "--batch-size", "4", "--dry-run")
    result = cli("train", "--data", str(strips), *words)
    assert result.exit_code == 0, result.stderr
    assert (
        "Images 32 × 32 pixels of each, bilinear: the middle, 87.5 % of its shorter side (--fit crop)" in result.stdout
    )
    assert "Note   --crop-scale does nothing with --augment none, which has no random crops" in result.stdout
    assert "--crop-ratio does nothing" not in result.stdout
