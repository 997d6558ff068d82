"""Files that give a model no weights: what is said and hinted at, and hostile ones, which stay inert."""

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
from clfctl.settings.network import ModelSettings
from tests.models.states import HEAD, build, called_otherwise, named


@pytest.mark.usefixtures("real_cnn")
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
