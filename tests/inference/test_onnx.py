"""model.onnx: the same probabilities as torch, from training or from export, and pixels as evaluation makes them."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn
from typer.testing import Result

import clfctl
from clfctl import __version__
from clfctl.data.pixels.decode import resize, resize_by_pillow
from clfctl.data.pixels.transform import Preprocess, to_pixels
from clfctl.errors import ModelError
from clfctl.inference.export import TOLERANCE, FromPixels, difference, to_onnx
from clfctl.inference.onnx_predictor import load_onnx, start_onnx
from clfctl.models.card import Card, card_of
from clfctl.runs.checkpoint import load_checkpoint, save_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import checksum_of
from tests.conftest import SMALL
from tests.inference.opinions import NAMES, build, crops, last_layer, seen, with_opinions

Cli = Callable[..., Result]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["custom", "efficientnet_b0"])
def test_exported_says_what_torch_says(name: str) -> None:
    size = 64
    model, info = with_opinions(build(name), size), Card(name, NAMES, Preprocess(size), "ab12")
    content = to_onnx(model, info)
    exported = start_onnx(Path("x.onnx"), content, n_threads=1)
    assert exported.info == info
    # Such files are given away: they say nothing of the machine that they were made on.
    for place in (Path(clfctl.__file__).parent, Path(torch.__file__).parent.parent):
        assert str(place).encode() not in content
    assert b'.py", line' not in content
    found = exported.probabilities(seen(crops(size)))
    with torch.inference_mode():
        expected = FromPixels(model, info.preprocess)(torch.from_numpy(crops(size))).numpy()
    assert found.shape == (16, len(NAMES))
    assert found.std(axis=0).max() > 0.05, "the images should get different answers"
    assert abs(found - expected).max() < TOLERANCE
    assert difference(exported, model, info, crops(size)) < TOLERANCE
    # One at a time they are the same, as in another number.
    for n in (1, 3):
        assert abs(exported.probabilities(seen(crops(size)[:n])) - expected[:n]).max() < TOLERANCE
    with torch.no_grad():
        last_layer(model).bias[0] += 1
    assert difference(exported, model, info, crops(size)) > TOLERANCE


@pytest.mark.parametrize("name", ["custom", pytest.param("efficientnet_b0", marks=pytest.mark.slow)])
def test_the_older_exporter_says_what_torch_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the only one that works with some older versions of torch."""

    def fail(*_: object) -> bytes:
        raise RuntimeError("not this one")

    monkeypatch.setattr("clfctl.inference.export._by_graph", fail)
    model, info = with_opinions(build(name), 64), Card(name, NAMES, Preprocess(64), "ab12")
    exported = start_onnx(Path("x.onnx"), to_onnx(model, info), n_threads=1)
    assert exported.info == info
    assert difference(exported, model, info, crops(64)) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("test_vit_relpos", 160),
        pytest.param("test_maxvit", 160, marks=pytest.mark.slow),
        pytest.param("hiera_tiny_224", 224, marks=pytest.mark.slow),
    ],
)
def test_what_the_newer_exporter_fails_at_is_exported_by_the_older(name: str, size: int) -> None:
    model, info = build(name).eval(), Card(name, NAMES, Preprocess(size), "ab12")
    exported = start_onnx(Path("x.onnx"), to_onnx(model, info), n_threads=1)
    assert difference(exported, model, info, crops(size)) < TOLERANCE


class Unknown(nn.Module):
    """A classifier with an operator that ONNX does not have."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (B, 4) numbers."""
        values: torch.Tensor = torch.linalg.eigvals(images[:, 0, :4, :4])
        return values.real


def test_what_no_exporter_manages_is_one_plain_sentence() -> None:
    with pytest.raises(ModelError) as caught:
        to_onnx(Unknown(), Card("mine", NAMES, Preprocess(32), "ab12"))
    message = str(caught.value)
    assert message.startswith("mine cannot be exported as ONNX: ")
    assert "eig" in message
    assert "\x1b" not in message
    assert "\n" not in message


@pytest.mark.slow
def test_training_ends_with_an_export(training: tuple[RunFolder, Result]) -> None:
    run, result = training
    assert f"Exported {run.onnx}: " in result.stderr
    exported, checkpoint = load_onnx(run.onnx, 1), load_checkpoint(run.best)
    assert exported.info == replace(card_of(checkpoint), made_of=checksum_of(run.best))
    metadata = exported.session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["clfctl"])["format"] == 1
    assert json.loads(metadata["clfctl"])["clfctl"] == __version__


@pytest.mark.slow
def test_what_keeps_a_model_from_being_exported_fails_no_training(
    photos: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("no such operator")

    monkeypatch.setattr("clfctl.inference.export.to_onnx", fail)
    words = ("train", "--data", str(photos), *SMALL, "--epochs", "1", "--export", "--run-name", "one")
    result = cli(*words)
    assert result.exit_code == 0
    assert "model.onnx was not written: RuntimeError: no such operator. The run is whole without it." in result.stderr
    assert not Path("runs/one/model.onnx").exists()
    monkeypatch.setattr("clfctl.inference.write_onnx.missing_packages", lambda: ["onnxscript"])
    result = cli(*words[:-1], "two")
    assert result.exit_code == 0
    assert "onnx" not in result.stderr
    result = cli("export", "runs/two")
    assert result.exit_code == 1
    assert "clfctl export needs onnxscript" in result.stderr
    assert "pip install 'clfctl[onnx]'" in result.stderr


@pytest.mark.slow
def test_export_writes_a_file_and_says_how_far_it_is_from_torch(copy: RunFolder, cli: Cli) -> None:
    copy.onnx.unlink()
    result = cli("export", str(copy.path), "--json")
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["file"] == str(copy.onnx)
    assert said["n_bytes"] == copy.onnx.stat().st_size
    assert 0 <= said["difference"] <= TOLERANCE
    assert (said["n_images"], said["images"]) == (16, "the data")
    assert load_onnx(copy.onnx, 1).info.made_of == checksum_of(copy.best)


@pytest.mark.slow
def test_export_of_a_checkpoint_without_its_data(copy: RunFolder, cli: Cli) -> None:
    checkpoint = load_checkpoint(copy.best)
    checkpoint.meta["settings"]["data"] = "moved/away"
    save_checkpoint(Path("mine.safetensors"), checkpoint)
    result = cli("export", "mine.safetensors")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("mine.onnx: 1.7 MB")
    assert result.stdout.rstrip().endswith("images of scikit-learn")
    assert load_onnx(Path("mine.onnx"), 1).info.classes == tuple("0123456789")


@pytest.mark.slow
def test_wrong_usage_of_export(run: RunFolder, cli: Cli) -> None:
    for words, error in (
        (("gone",), "gone is not a run folder"),
        ((str(run.onnx),), "model.onnx is not a run or a checkpoint"),
        ((str(run.path), "--output", "model.pt"), "--output: model.pt is not a name for an ONNX file"),
        ((str(run.path), "--output", "gone/model.onnx"), "--output: there is no folder gone"),
    ):
        result = cli("export", *words)
        assert result.exit_code == 2
        assert error in result.stderr


@pytest.mark.slow
def test_an_export_that_says_other_things_is_not_kept(
    copy: RunFolder, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = copy.onnx.read_bytes()

    def of_another(model: nn.Module, info: Card) -> bytes:
        with torch.no_grad():
            last_layer(model).bias[0] += 0.01
        content = to_onnx(model, info)
        with torch.no_grad():
            last_layer(model).bias[0] -= 0.01
        return content

    monkeypatch.setattr("clfctl.inference.export.to_onnx", of_another)
    result = cli("export", str(copy.path))
    assert result.exit_code == 1
    assert "resnet9_small gives other probabilities as ONNX: one differs by 0.00" in result.stderr
    assert copy.onnx.read_bytes() == before


# Sides that are enlarged, kept and made smaller, at ratios that are whole and that are not.
SIDES = st.integers(1, 300)
RATIOS = st.sampled_from([0.875, 0.95, 1.0])


@settings(max_examples=100)
@given(
    width=SIDES, height=SIDES, size=st.integers(8, 96), ratio=st.sampled_from([0.875, 0.95, 1.0]), seed=st.integers(0)
)
def test_pixels_without_torch_are_those_of_evaluation_to_one_level(
    width: int, height: int, size: int, ratio: float, seed: int
) -> None:
    noise = np.random.Generator(np.random.Philox(seed)).integers(0, 256, (height, width, 3), np.uint8)
    ours, theirs = (
        to_pixels(Image.fromarray(noise), Preprocess(size, ratio), each) for each in (resize_by_pillow, resize)
    )
    assert ours.shape == theirs.shape == (size, size, 3)
    assert abs(ours.astype(int) - theirs.astype(int)).max() <= 1


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("quality", [30, 95])
@pytest.mark.parametrize("size", [64, 224])
def test_photographs_without_torch_are_those_of_evaluation_to_one_level(n: int, quality: int, size: int) -> None:
    file = BytesIO()
    Image.fromarray(load_sample_images().images[n]).save(file, "JPEG", quality=quality)
    ours, theirs = (to_pixels(Image.open(file), Preprocess(size), each) for each in (resize_by_pillow, resize))
    found = abs(ours.astype(int) - theirs.astype(int))
    assert found.max() <= 1
    assert found.mean() < 0.1
