"""Weights from files as other trainers write them, and hostile ones, which stay inert."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from clfctl.errors import ModelError, UsageError
from clfctl.models.custom_cnn import CustomCNN
from clfctl.models.factory import build_model
from clfctl.models.weights import load_weights
from clfctl.settings.network import ModelSettings

State = dict[str, torch.Tensor]
HEAD = {"head.weight", "head.bias"}


def build(size: int = 32, **values: object) -> torch.nn.Module:
    return build_model(ModelSettings.model_validate({"pretrained": False} | values), 10, size).model


def named(state: State, prefix: str) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def others(state: State) -> State:
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


OPTIONS = argparse.Namespace(lr=0.1, model="test_resnet")
# What others put around the tensors of a model, and before their names.
WRAPPINGS: dict[str, Callable[[State], Any]] = {
    "a state dict": lambda own: own,
    "of ours": lambda own: {"state_dict": own, "epoch": 3},
    "timm's": lambda own: {"epoch": 3, "arch": "x", "state_dict": own, "args": OPTIONS, "metric": np.float64(0.5)},
    "timm's with an average": lambda own: {"state_dict": others(own), "state_dict_ema": own, "args": OPTIONS},
    "torchvision's reference": lambda own: {"model": own, "optimizer": {}, "lr_scheduler": {}, "args": OPTIONS},
    "torchvision's with an average": lambda own: {"model": others(own), "model_ema": named(own, "module.")},
    "Lightning's": lambda own: {"state_dict": named(own, "model."), "hyper_parameters": {"root": Path("/data")}},
    "Lightning's with net.": lambda own: {"state_dict": named(own, "net.")},
    "compiled": lambda own: {"state_dict": named(own, "model._orig_mod.")},
    "parallel and compiled": lambda own: named(own, "module._orig_mod."),
    "parallel": lambda own: {"arch": "x", "state_dict": named(own, "module."), "best_acc1": torch.tensor(70.0)},
    "of transformers": lambda own: named(own, "timm_model."),
    "of a larger model": lambda own: named(own, "encoder.") | {"decoder.weight": torch.ones(2)},
    "of a teacher and its student": lambda own: named(others(own), "student.") | named(own, "teacher."),
    "an average alone": lambda own: {"ema": own, "model": None},
    "half precision": lambda own: {name: each.half() for name, each in own.items()},
    "without counters": lambda own: {name: each for name, each in own.items() if "num_batches" not in name},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_weights_are_found_in_every_wrapping(wrapping: str, tmp_path: Path) -> None:
    source, target, path = CustomCNN(10), CustomCNN(10), tmp_path / "weights.pth"
    torch.save(WRAPPINGS[wrapping](source.state_dict()), path)
    loaded = load_weights(target, path, HEAD)
    assert loaded.new == ()
    # Of half precision they are what is left of them.
    expected = source.half().float() if wrapping == "half precision" else source
    for name, tensor in expected.state_dict().items():
        assert torch.equal(tensor, target.state_dict()[name]), name
    assert loaded.is_average == ("average" in wrapping)
    assert ("the average of the weights, EMA" in str(loaded)) == loaded.is_average


@pytest.mark.parametrize("prefix", ["", "net.", "backbone.", "model._orig_mod.", "a.b.c."])
def test_a_body_alone_keeps_the_new_head(prefix: str, tmp_path: Path) -> None:
    own = timm.create_model("test_resnet", num_classes=1000).state_dict()
    body = {name: each for name, each in own.items() if not name.startswith("fc")}
    torch.save(named(body, prefix) | {"projector.weight": torch.ones(2)}, tmp_path / "w.pth")
    origin = build_model(ModelSettings(model="test_resnet", weights=tmp_path / "w.pth"), 10, 64).origin
    assert origin == (
        f"{tmp_path / 'w.pth'}, {len(body)} tensors, new classifier (fc.weight, fc.bias), "
        "1 tensor of the file left over (projector.weight)"
    )


def test_safetensors_are_loaded(tmp_path: Path) -> None:
    source, target = CustomCNN(10), CustomCNN(10)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_weights(target, tmp_path / "w.safetensors", HEAD)
    assert torch.equal(source.head.weight, target.head.weight)


def test_a_head_of_another_size_is_made_from_scratch(tmp_path: Path) -> None:
    save_file(CustomCNN(3).state_dict(), tmp_path / "w.safetensors")
    assert load_weights(CustomCNN(10), tmp_path / "w.safetensors", HEAD).new == ("head.weight", "head.bias")


def test_every_head_of_another_size_is_made_from_scratch(tmp_path: Path) -> None:
    torch.save(timm.create_model("volo_d1_224", num_classes=3).state_dict(), tmp_path / "w.pth")
    origin = build_model(ModelSettings(model="volo_d1_224", weights=tmp_path / "w.pth"), 10, 224).origin
    assert "new classifier (aux_head.weight, aux_head.bias, head.weight, …)" in origin


def test_position_embeddings_of_another_size_are_resampled(tmp_path: Path) -> None:
    saved = timm.create_model("vit_tiny_patch16_224", num_classes=10)
    torch.save(named(saved.state_dict(), "module."), tmp_path / "w.pth")
    model = build(96, model="vit_tiny_patch16_224", weights=tmp_path / "w.pth")
    assert torch.equal(model.state_dict()["head.weight"], saved.state_dict()["head.weight"])
    assert model.state_dict()["pos_embed"].shape != saved.state_dict()["pos_embed"].shape


def test_weights_of_another_model_or_shape_are_refused(tmp_path: Path) -> None:
    state = CustomCNN(10).state_dict()
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    with pytest.raises(ModelError, match=r"weights: .* belongs to another model: it lacks"):
        build(model="efficientnet_b0", weights=path)
    save_file(state | {"stages.0.0.weight": torch.zeros(1, 3, 3, 3)}, path)
    with pytest.raises(ModelError, match=r"stages\.0\.0\.weight is \(1, 3, 3, 3\), the model's is \(32, 3, 3, 3\)"):
        build(weights=path)


def test_why_weights_could_not_be_converted_is_told(tmp_path: Path) -> None:
    torch.save({"patch_embed.proj.weight": torch.ones(5, 7)}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"belongs to another model: .* \(converting them failed: shape"):
        build(96, model="vit_tiny_patch16_224", weights=tmp_path / "w.pth")


class Hostile:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("it_ran").touch, ())


HOSTILE: dict[str, Any] = {
    "a tensor": {"head.weight": Hostile()},
    "beside a state dict": {"state_dict": CustomCNN(10).state_dict(), "args": Hostile()},
    "in a namespace": {"state_dict": CustomCNN(10).state_dict(), "args": argparse.Namespace(hidden=Hostile())},
}


@pytest.mark.parametrize("where", HOSTILE)
def test_a_pickle_that_would_run_code_is_refused_and_not_run(where: str, tmp_path: Path) -> None:
    torch.save(HOSTILE[where], tmp_path / "evil.pth")
    with pytest.raises(ModelError, match=r"cannot be read: it holds objects of builtins\.getattr"):
        build(weights=tmp_path / "evil.pth")
    assert not Path("it_ran").exists()


@pytest.mark.parametrize("wrap", [lambda each: each, lambda each: {"model": each, "epoch": 3}])
def test_a_whole_pickled_model_is_refused_with_the_way_to_a_state_dict(wrap: Any, tmp_path: Path) -> None:
    model, path = timm.create_model("test_resnet", num_classes=10), tmp_path / "whole.pt"
    torch.save(wrap(model), path)
    with pytest.raises(ModelError, match="it is a whole pickled model") as caught:
        build(model="test_resnet", weights=path)
    # The lines that it shows do what they say.
    lines = caught.value.hint.partition(": ")[2]
    if wrap(1) == 1:
        exec(lines, {"torch": torch})
        assert (
            "new classifier"
            not in build_model(ModelSettings(model="test_resnet", weights=Path("new.pth")), 10, 64).origin
        )


def test_a_file_that_refers_to_itself_is_refused(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["model"] = content
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="does not hold a state dict"):
        build(weights=tmp_path / "w.pth")


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        build(weights=tmp_path / "gone.pth")
    for name in ("x.pth", "x.safetensors"):
        (tmp_path / name).write_text("nothing")
        with pytest.raises(ModelError, match="cannot be read"):
            build(weights=tmp_path / name)
