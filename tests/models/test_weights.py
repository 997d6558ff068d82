"""Weights from files as other trainers write them: found in every wrapping, and fitted to the model."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from clfctl.errors import ModelError
from clfctl.models.custom_cnn import CustomCNN
from clfctl.models.factory import build_model
from clfctl.models.weights import load_weights
from clfctl.runs.checkpoint import Checkpoint, save_checkpoint
from clfctl.settings.network import ModelSettings
from tests.models.states import HEAD, State, build, called_otherwise, named


def within(state: State, part: str) -> State:
    return {name.removeprefix(f"{part}."): each for name, each in state.items() if name.startswith(f"{part}.")}


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
    "another that was never begun": lambda own: {"state_dict": own, "model_ema": {}, "ema": {"decay": 0.9}},
    "half precision": lambda own: {name: each.half() for name, each in own.items()},
    "bfloat16": lambda own: {name: each.bfloat16() for name, each in own.items()},
    "of DINO": lambda own: {"student": others(own), "teacher": named(own, "module."), "optimizer": {"state": {}}},
    "part by part": lambda own: {part: within(own, part) for part in ("stages", "head")} | {"epoch": 3},
    "an average in a wrapper": lambda own: {"ema": {"module": named(own, "_orig_mod."), "updates": 9}, "model": None},
    "of Lightning with callbacks": lambda own: {
        "state_dict": named(own, "model.net."),
        "callbacks": {"EMA": {"head.weight": torch.zeros(2)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}}],
        "hyper_parameters": {"lr": 0.1},
    },
    "without counters": lambda own: {name: each for name, each in own.items() if "num_batches" not in name},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_weights_are_found_in_every_wrapping(wrapping: str, tmp_path: Path) -> None:
    source, target, path = CustomCNN(10), CustomCNN(10), tmp_path / "weights.pth"
    torch.save(WRAPPINGS[wrapping](source.state_dict()), path)
    loaded = load_weights(target, path, HEAD)
    assert loaded.new == ()
    # Of half precision they are what is left of them.
    less = {"half precision": torch.float16, "bfloat16": torch.bfloat16}
    expected = source.to(less.get(wrapping, torch.float32)).float()
    for name, tensor in expected.state_dict().items():
        assert torch.equal(tensor, target.state_dict()[name]), name
    assert bool(loaded.average) == ("average" in wrapping)
    assert ("the average of the weights, EMA" in str(loaded)) == bool(loaded.average)


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


def test_a_stem_of_grey_images_is_spread_over_three_channels(tmp_path: Path) -> None:
    """What it makes of a grey image does not change."""
    grey = timm.create_model("test_resnet", num_classes=10, in_chans=1).eval()
    torch.save(named(grey.state_dict(), "net."), tmp_path / "w.pth")
    built = build_model(ModelSettings(model="test_resnet", weights=tmp_path / "w.pth"), 10, 64)
    assert "conv1.0.weight of one channel spread over three" in built.origin
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.allclose(built.model.eval()(image.repeat(1, 3, 1, 1)), grey(image), atol=1e-5)


def test_a_stem_of_other_channels_is_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_resnet", in_chans=4).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"its first convolution, .*, takes 4 channels, and images have 3"):
        build(64, model="test_resnet", weights=tmp_path / "w.pth")


@pytest.mark.parametrize("n_classes", [10, 7])
def test_other_names_in_the_same_order_are_taken_and_said(n_classes: int, tmp_path: Path) -> None:
    source = timm.create_model("test_resnet", num_classes=n_classes).state_dict()
    torch.save(called_otherwise(source), tmp_path / "w.pth")
    built = build_model(ModelSettings(model="test_resnet", weights=tmp_path / "w.pth"), 10, 64)
    assert ", whose names are others, in their order" in built.origin
    assert ("new classifier" in built.origin) == (n_classes == 7)
    state = {name: each for name, each in built.model.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert all(torch.equal(each, source[name]) for name, each in state.items() if n_classes == 10 or "fc" not in name)


def moved(state: State, name: str, last: bool) -> State:
    names = [each for each in state if each != name]
    names.insert(len(names) if last else 0, name)
    return {each: state[each] for each in names}


OUT_OF_ORDER: dict[str, Callable[[State], State]] = {
    "moved": lambda state: moved(state, "_stages_0_0.weight", last=True),
    "of another kind": lambda state: {
        name.replace("_stages_0_1.bias", "_a.scale"): each for name, each in state.items()
    },
    "one more": lambda state: state | {"_more.weight": torch.ones(3)},
    "one less": lambda state: {name: each for name, each in state.items() if name != "_stages_0_1.bias"},
    "named as another of ours": lambda state: {
        name.replace("_stages_0_1.weight", "stages.0.1.bias"): each for name, each in state.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("case", OUT_OF_ORDER)
def test_other_names_in_another_order_are_refused(case: str, tmp_path: Path) -> None:
    state = called_otherwise(CustomCNN(10).state_dict())
    assert set(OUT_OF_ORDER[case](state)) != set(state) or [*OUT_OF_ORDER[case](state)] != [*state]
    torch.save(OUT_OF_ORDER[case](state), tmp_path / "w.pth")
    with pytest.raises(ModelError, match="belongs to another model"):
        build(weights=tmp_path / "w.pth")


def shards(state: State, folder: Path) -> Path:
    """Write a state dict as transformers does when it is large: two files and an index."""
    places = {name: f"model-0000{1 + n % 2}-of-00002.safetensors" for n, name in enumerate(state)}
    for file in set(places.values()):
        save_file({name: each for name, each in state.items() if places[name] == file}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return index


def test_divided_weights_are_read_by_their_index_or_folder(tmp_path: Path) -> None:
    source = CustomCNN(10)
    index = shards(source.state_dict(), tmp_path)
    for path in (index, tmp_path):
        target = CustomCNN(10)
        load_weights(target, path, HEAD)
        assert all(torch.equal(each, target.state_dict()[name]) for name, each in source.state_dict().items())
    places = dict.fromkeys(source.state_dict(), "pytorch_model-00001-of-00001.bin")
    torch.save(source.state_dict(), tmp_path / "pytorch_model-00001-of-00001.bin")
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    load_weights(CustomCNN(10), tmp_path / "pytorch_model.bin.index.json", HEAD)


def test_a_checkpoint_of_ours_is_its_model_alone(tmp_path: Path) -> None:
    path, source = tmp_path / "last.safetensors", CustomCNN(10)
    tensors = named(source.state_dict(), "model.") | {"optimizer.0.exp_avg": torch.ones(3), "losses": torch.ones(2)}
    said = {"model": "custom", "classes": list("abcdefghij"), "preprocess": {"image_size": 32}, "settings": {}}
    save_checkpoint(path, Checkpoint(tensors, said))
    assert str(load_weights(CustomCNN(10), path, HEAD)) == f", {len(source.state_dict())} tensors"
    save_checkpoint(path, Checkpoint(tensors | named(source.state_dict(), "ema."), said))
    assert load_weights(CustomCNN(10), path, HEAD).average == "the moving average of the weights"
    with pytest.raises(ModelError) as caught:
        build(64, model="test_resnet", weights=path)
    assert caught.value.hint.startswith("it is a checkpoint of custom: `start_from=`")
