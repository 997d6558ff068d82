"""Weights from files as other trainers write them, and hostile ones, which stay inert."""

import argparse
import functools
import io
import json
import math
import os
import subprocess
from collections import OrderedDict
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
from clfctl.runs.checkpoint import Checkpoint, save_checkpoint
from clfctl.settings.network import ModelSettings

State = dict[str, torch.Tensor]
HEAD = {"head.weight", "head.bias"}


def build(size: int = 32, **values: object) -> torch.nn.Module:
    return build_model(ModelSettings.model_validate({"pretrained": False} | values), 10, size).model


def named(state: State, prefix: str) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


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


def called_otherwise(state: State) -> State:
    """The same network in another's code: `stages.0.1.weight` is `_stages0_1.weight`."""
    renamed = {}
    for name, each in state.items():
        module, _, kind = name.rpartition(".")
        renamed[f"_{module.replace('.', '_')}.{kind}"] = each
    return renamed


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


def _index(**places: str) -> str:
    return json.dumps({"weight_map": places})


BROKEN_INDEXES = {
    "a missing file": (_index(a="gone.safetensors", b="x.safetensors"), "needs gone.safetensors, and there is no such"),
    "two missing files": (_index(a="gone.safetensors", b="no.bin"), r"needs gone.safetensors \(and 1 more\)"),
    "a file elsewhere": (_index(a="../x.safetensors"), "names a file that is not beside it"),
    "a file of the system": (_index(a="/etc/passwd"), "names a file that is not beside it"),
    "another version": (_index(lost="x.safetensors"), "lists tensors that its files do not have, such as lost"),
    "no index": ("[]", "it is not an index of weights"),
    "no JSON": ("{", "it is not an index of weights"),
    "a map of nothing": (_index(), "does not hold a state dict"),
}


@pytest.mark.parametrize("case", BROKEN_INDEXES)
def test_a_broken_index_is_refused(case: str, tmp_path: Path) -> None:
    text, error = BROKEN_INDEXES[case]
    save_file({"b": torch.ones(2)}, tmp_path / "x.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ModelError, match=f"weights: .*{error}"):
        build(weights=tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"weights: .* has none of model\.safetensors, "):
        build(weights=tmp_path)


def of_timm(**other: Any) -> dict[str, Any]:
    return {"state_dict": timm.create_model("resnet18", num_classes=7).state_dict(), **other}


# Blurred pooling has no tensors.
RESNET18 = "its tensors fit resnet18 and resnetblur18, which differ in what they do with them"
# Files of another model than the custom one that is stated, and what is to be tried.
MEANT: dict[str, tuple[Callable[[], Any], str]] = {
    "by its tensors": (of_timm, RESNET18),
    "behind a prefix": (lambda: named(of_timm()["state_dict"], "module.encoder."), RESNET18),
    "by the order of its tensors": (
        lambda: called_otherwise(of_timm()["state_dict"]), RESNET18
    ),
    "without a head": (
        lambda: {name: each for name, each in of_timm()["state_dict"].items() if not name.startswith("fc.")},
        RESNET18,
    ),
    "of several that are alike": (
        lambda: timm.create_model("efficientnet_lite0", num_classes=7).state_dict(),
        "its tensors fit efficientnet_lite0 and tf_efficientnet_lite0, which differ in what they do with them",
    ),
    "of several of which it names one": (
        lambda: {
            "arch": "tf_efficientnet_lite0",
            "state_dict": timm.create_model("efficientnet_lite0", num_classes=7).state_dict(),
        },
        "its tensors fit `model=tf_efficientnet_lite0`",
    ),
    "by its own word": (
        lambda: {"state_dict": {"x": torch.ones(2)}, "arch": "resnet34"}, "it is of resnet34: try `model=resnet34`"
    ),
    "by its trainer's options": (
        lambda: {"model": {"x": torch.ones(2)}, "args": argparse.Namespace(model="resnet50")}, "try `model=resnet50`"
    ),
    "of no model that is known": (
        lambda: {"x": torch.ones(2), "arch": "mine"}, "`clfctl models` lists them; the file says that it is of mine"
    ),
    "of no name": (lambda: {"x": torch.ones(2)}, "choose the model that the weights belong to with `model=`"),
}  # fmt: skip


@pytest.mark.parametrize("case", MEANT)
def test_weights_that_do_not_fit_say_what_would(case: str, tmp_path: Path) -> None:
    make, hint = MEANT[case]
    torch.save(make(), tmp_path / "w.pth")
    with pytest.raises(ModelError, match="belongs to another model") as caught:
        build(weights=tmp_path / "w.pth")
    assert hint in caught.value.hint


def test_a_custom_model_is_known_by_its_tensors(tmp_path: Path) -> None:
    save_file(CustomCNN(4).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ModelError) as caught:
        build(64, model="test_resnet", weights=tmp_path / "w.safetensors")
    assert caught.value.hint == "its tensors fit `model=custom`"


def test_the_configuration_beside_a_file_of_the_hub_is_read(tmp_path: Path) -> None:
    save_file({"x": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"architecture": "resnet26"}')
    with pytest.raises(ModelError) as caught:
        build(weights=tmp_path)
    assert "`model=resnet26`" in caught.value.hint


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


class Hostile:
    """Makes a file when it is unpickled, by way of a function that a reader may think harmless."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


PROGRAM = "import pathlib; pathlib.Path('it_ran').touch()"
STATE = CustomCNN(10).state_dict()
HOSTILE: dict[str, Callable[[], Any]] = {
    "a tensor": lambda: {"head.weight": Hostile(Path("it_ran").touch)},
    "a name": lambda: {Hostile(Path("it_ran").touch): torch.ones(2)},
    "beside a state dict": lambda: {"state_dict": STATE, "args": Hostile(exec, PROGRAM)},
    "in a namespace": lambda: {"state_dict": STATE, "args": argparse.Namespace(hidden=Hostile(eval, PROGRAM))},
    "another class of argparse": lambda: {"state_dict": STATE, "args": Hostile(argparse.FileType("w"), "it_ran")},
    "of the system": lambda: {"state_dict": STATE, "x": Hostile(os.system, "touch it_ran")},
    "a process": lambda: {"state_dict": STATE, "x": Hostile(subprocess.Popen, ["touch", "it_ran"])},
    "torch's reader itself": lambda: {
        "state_dict": STATE, "x": Hostile(torch.storage._load_from_bytes, pickled(Hostile(exec, PROGRAM)))
    },
    "behind functools": lambda: {"state_dict": STATE, "x": Hostile(functools.partial, exec, PROGRAM)},
    "in numpy's scalar": lambda: {"state_dict": STATE, "x": np.float64(1), "y": Hostile(exec, PROGRAM)},
    "in an ordered dictionary": lambda: OrderedDict(STATE, hidden=Hostile(exec, PROGRAM)),
    "alone": lambda: Hostile(exec, PROGRAM),
}  # fmt: skip


def pickled(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize("where", HOSTILE)
def test_a_pickle_that_would_run_code_is_refused_and_not_run(where: str, tmp_path: Path) -> None:
    torch.save(HOSTILE[where](), tmp_path / "pytorch_model.bin")
    (tmp_path / "pytorch_model.bin.index.json").write_text(_index(x="pytorch_model.bin"))
    for path in (tmp_path / "pytorch_model.bin", tmp_path, tmp_path / "pytorch_model.bin.index.json"):
        with pytest.raises(ModelError, match="cannot be read: it holds objects of "):
            build(weights=path)
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


TAKEN_FOR_WEIGHTS = {
    "a pointer of Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3",
        "(Git LFS)",
        "git lfs",
    ),
    "a web page": (b"\n<!DOCTYPE html><html>", "it is a web page", "the file itself"),
}


@pytest.mark.parametrize("name", ["x.safetensors", "x.bin"])
@pytest.mark.parametrize("case", TAKEN_FOR_WEIGHTS)
def test_what_is_often_taken_for_weights_is_called_by_its_name(case: str, name: str, tmp_path: Path) -> None:
    content, reason, hint = TAKEN_FOR_WEIGHTS[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        build(weights=tmp_path / name)
    assert reason in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_program_of_torchs_is_refused_with_the_way_to_a_state_dict(tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with pytest.raises(ModelError, match=r"it is a program \(TorchScript\)") as caught:
        build(weights=path)
    exec(caught.value.hint.partition(": ")[2], {"torch": torch})
    assert set(torch.load("new.pth")) == {"weight", "bias"}


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        build(weights=tmp_path / "gone.pth")
    for name in ("x.pth", "x.safetensors"):
        (tmp_path / name).write_text("nothing")
        with pytest.raises(ModelError, match="cannot be read"):
            build(weights=tmp_path / name)


# Tensors of the right names and shapes that nothing can be computed with.
UNUSABLE: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "meta": (lambda each: each.to("meta"), "has a shape and no values"),
    "sparse": (lambda each: each.to_sparse(), "is sparse"),
    "complex": (lambda each: each.to(torch.complex64), "is complex"),
    "not a number": (lambda each: each * math.nan, "is not finite everywhere"),
    "infinite": (lambda each: each + math.inf, "is not finite everywhere"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_weights_that_nothing_can_be_computed_with_are_refused(kind: str, tmp_path: Path) -> None:
    model, (change, message) = CustomCNN(3), UNUSABLE[kind]
    state = {name: change(each) if each.dim() > 1 else each for name, each in model.state_dict().items()}
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(ModelError, match=message):
        load_weights(model, tmp_path / "net.pth", set())
    assert all(each.isfinite().all() for each in model.state_dict().values())


def test_a_run_given_as_weights_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_weights(CustomCNN(3), tmp_path, HEAD)
    assert caught.value.hint == "give the file itself"
    (tmp_path / "config.toml").touch()
    with pytest.raises(UsageError) as caught:
        load_weights(CustomCNN(3), tmp_path, HEAD)
    assert f"`start_from={tmp_path}`" in caught.value.hint
