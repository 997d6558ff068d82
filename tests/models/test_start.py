"""A training that starts from a run: its model, what it sees, and its classifier, class by class."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from typer.testing import Result

from clfctl import api
from clfctl.errors import CheckpointError, ClfctlError, ModelError, UsageError
from clfctl.models.custom_cnn import CustomCNN
from clfctl.models.sources import source_of
from clfctl.models.start import Classes, build_from, with_rows_of
from clfctl.planning.start import taken_over
from clfctl.runs.checkpoint import EMA, MODEL, Checkpoint, load_checkpoint, save_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TrainSettings
from clfctl.settings.image_size import Rectangle
from clfctl.settings.network import ModelSettings
from clfctl.settings.sources import resolve
from tests.conftest import SMALL

Cli = Callable[..., Result]
SEEN = {"image_size": 48, "crop_ratio": 0.9, "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}


def saved(path: Path, model: torch.nn.Module, classes: str, name: str = "custom", **meta: Any) -> Path:
    """Write a checkpoint of a model whose classes are letters."""
    tensors = {MODEL + key: each for key, each in model.state_dict().items()}
    said = {"model": name, "classes": list(classes), "preprocess": SEEN, "settings": {}, **meta}
    save_checkpoint(path, Checkpoint(tensors, said))
    return path


def started(path: Path, classes: str, name: str = "custom", size: int = 48) -> Any:
    torch.manual_seed(5)
    return build_from(ModelSettings(model=name, start_from=path), classes, size)


def fresh(n_classes: int) -> torch.nn.Module:
    torch.manual_seed(5)
    return CustomCNN(n_classes)


CLASSES = {
    "the same": ("abc", "abc", "with its classifier"),
    "in another order": ("abc", "cab", "with its classifier"),
    "some new": ("abc", "xacb", "3 of its 3 classes kept, 1 new (x)"),
    "some lost": ("abcd", "db", "2 of its 4 classes kept, 2 left out (a, c)"),
    "as many others": ("abc", "dac", "2 of its 3 classes kept, 1 new (d), 1 left out (b)"),
    "all others": ("abc", "xyz", "new classifier, none of its 3 classes is among these"),
    "many new": ("a", "abcdefg", "1 of its 1 classes kept, 6 new (b, c, d, …)"),
}


@pytest.mark.parametrize("case", CLASSES)
def test_classes_are_joined_by_name(case: str, tmp_path: Path) -> None:
    before, now, said = CLASSES[case]
    torch.manual_seed(1)
    source = CustomCNN(len(before))
    built = started(saved(tmp_path / "a.safetensors", source, before), now)
    model, new = built.model, fresh(len(now))
    assert built.origin == f"{tmp_path / 'a.safetensors'}, {said}"
    for n, name in enumerate(now):
        of, row = (source, before.index(name)) if name in before else (new, n)
        for key in ("head.weight", "head.bias"):
            assert torch.equal(model.state_dict()[key][n], of.state_dict()[key][row]), name
    body = [name for name in source.state_dict() if not name.startswith("head")]
    assert all(torch.equal(model.state_dict()[name], source.state_dict()[name]) for name in body)


@pytest.mark.parametrize("name", ["levit_128", "deit_tiny_distilled_patch16_224"])
def test_every_head_of_a_model_gets_its_rows(name: str) -> None:
    """Two heads, and one with a normalization of its own, which has as many rows as there are classes here."""
    before, now = "abc", "cxa"
    old, new = (timm.create_model(name, num_classes=3) for _ in range(2))
    head = source_of(name).head(new)
    joined = with_rows_of(old.state_dict(), new.state_dict(), head, Classes(before, now))
    for key in head:
        own, was, is_now = old.state_dict()[key], new.state_dict()[key], joined[key]
        if own.dim() and own.shape[0] == 3:
            assert torch.equal(is_now, torch.stack([own[2], was[1], own[0]]))
        else:
            assert torch.equal(is_now, own)


def test_a_normalization_of_as_many_values_as_classes_is_kept_whole() -> None:
    old = {
        "head.bn.weight": torch.tensor([1.0, 2.0]),
        "head.fc.weight": torch.ones(2, 2),
        "head.fc.bias": torch.ones(2),
    }
    new = {name: torch.zeros_like(each) for name, each in old.items()}
    joined = with_rows_of(old, new, set(old), Classes("ab", "bx"))
    assert joined["head.bn.weight"].tolist() == [1, 2]
    assert joined["head.fc.bias"].tolist() == [1, 0]
    assert joined["head.fc.weight"].tolist() == [[1, 1], [0, 0]]


def test_what_it_was_trained_to_see_is_taken_over(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", CustomCNN(3), "abc")
    seen = started(path, "abc").preprocess
    assert (seen.image_size, seen.crop_ratio, seen.mean, seen.std) == (48, 0.9, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert started(path, "abc", size=64).preprocess.image_size == 64
    small = build_from(ModelSettings(start_from=path), "abc", 48, is_small=True)
    assert small.preprocess.crop_ratio == 1


def test_the_average_of_a_checkpoint_that_has_one_is_taken(tmp_path: Path) -> None:
    trained, average = CustomCNN(2), CustomCNN(2)
    tensors = {EMA + key: each for key, each in average.state_dict().items()}
    tensors |= {MODEL + key: each for key, each in trained.state_dict().items()}
    said = {"model": "custom", "classes": ["a", "b"], "preprocess": SEEN, "settings": {}}
    save_checkpoint(tmp_path / "last.safetensors", Checkpoint(tensors, said))
    built = started(tmp_path / "last.safetensors", "ab")
    assert all(torch.equal(each, built.model.state_dict()[key]) for key, each in average.state_dict().items())
    assert "the moving average of the weights, with its classifier" in built.origin


def test_a_transformer_starts_at_another_size(tmp_path: Path) -> None:
    name = "deit_tiny_patch16_224"
    source = timm.create_model(name, num_classes=2)
    built = started(saved(tmp_path / "a.safetensors", source, "ab", name), "ba", name, 96)
    own, new = source.state_dict(), built.model.state_dict()
    assert own["pos_embed"].shape != new["pos_embed"].shape
    assert torch.equal(own["head.weight"], new["head.weight"].flip(0))


def test_a_model_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", CustomCNN(3), "abc", "test_resnet")
    with pytest.raises(ModelError, match=r"start_from: .* does not fit test_resnet: it lacks"):
        started(path, "abc", "test_resnet", 64)


def test_fit_and_interpolation_are_taken_over_unless_stated(run: Path) -> None:
    seen = SEEN | {"image_size": "40x64", "fit": "stretch", "interpolation": "bicubic"}
    path = saved(run / "checkpoints/best.safetensors", CustomCNN(3), "abc", preprocess=seen)
    found = settings_of(start_from=str(run))
    assert (found.image_size, found.fit) == (Rectangle(40, 64), "stretch")
    built = build_from(found, "abc", found.image_size, fit=found.fit).preprocess
    assert (built.size, built.fit, built.interpolation, built.crop_ratio) == ((40, 64), "stretch", "bicubic", 0.9)
    whole = build_from(ModelSettings(start_from=path), "abc", fit="letterbox").preprocess
    assert (whole.size, whole.fit, whole.crop_ratio) == ((40, 64), "letterbox", 1.0)
    assert settings_of(start_from=str(run), fit="crop", image_size="32").fit == "crop"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder as far as another training needs it."""
    folder = RunFolder(tmp_path / "one")
    folder.best.parent.mkdir(parents=True)
    folder.config.write_text("")
    saved(folder.best, CustomCNN(3), "abc")
    return folder.path


def settings_of(**typed: str) -> TrainSettings:
    return taken_over(resolve(TrainSettings, typed)).settings


def test_model_and_image_size_are_those_of_the_run_unless_stated(run: Path) -> None:
    resolved = taken_over(resolve(TrainSettings, {"start_from": str(run)}))
    assert (resolved.settings.model, resolved.settings.image_size) == ("custom", 48)
    assert resolved.origins["image_size"] == resolved.origins["model"] == str(run)
    assert settings_of(start_from=str(run / "checkpoints/best.safetensors"), image_size="64").image_size == 64
    # A data set's defaults are for who states nothing.
    assert settings_of(start_from=str(run), data="digits").image_size == 48
    assert settings_of(start_from=str(run), data="digits").augment == "none"


def test_a_weaker_source_meant_another_beginning(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(start_from=str(run), recipe="efficientnet-laptop")
    assert (settings.model, settings.pretrained, settings.batch_size) == ("custom", None, 16)
    Path("clfctl.toml").write_text(f'from = "{run}"\nimage_size = 40')
    assert settings_of().image_size == 40
    assert settings_of(weights="other.pth").start_from is None
    assert settings_of(pretrained="true", model="efficientnet_b0").start_from is None
    monkeypatch.setenv("CLFCTL_FROM", "elsewhere")
    assert settings_of(start_from=str(run)).start_from == run


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "weights beside": ({"weights": "x.pth"}, "a training starts from one place, and both .* and `weights=x.pth`"),
    "published weights beside": ({"pretrained": "true"}, "both .* and `pretrained=True` are stated"),
    "another model": ({"model": "efficientnet_b0"}, "model: the model of .* is custom, not efficientnet_b0"),
    "nothing there": ({"start_from": "gone"}, "start_from: gone is not a run folder"),
    "a folder": ({"start_from": "empty"}, "start_from: empty is not a run folder"),
    "another file": ({"start_from": "x.pth"}, "start_from: x.pth is not a checkpoint of clfctl"),
    "another's tensors": ({"start_from": "x.safetensors"}, "start_from: x.safetensors cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_started_from_is_refused(case: str, run: Path) -> None:
    stated, error = REFUSED[case]
    Path("empty").mkdir()
    for name in ("x.pth", "x.safetensors"):
        Path(name).write_text("nothing")
    with pytest.raises(ClfctlError, match=error):
        settings_of(**{"start_from": str(run)} | stated)


def test_other_weights_of_the_same_architecture_are_the_same_model(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", CustomCNN(3), "abc", "efficientnet_b0")
    assert settings_of(start_from=str(path), model="efficientnet_b0.ra_in1k").model == "efficientnet_b0.ra_in1k"


def test_a_damaged_checkpoint_is_refused(run: Path) -> None:
    best = RunFolder(run).best
    content = bytearray(best.read_bytes())
    content[-40] ^= 1
    best.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"start_from: .* is damaged"):
        started(run, "abc")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without plots."""
    monkeypatch.setattr("clfctl.display.plots.save_plots", lambda history, folder: None)


@pytest.mark.usefixtures("quick")
def test_a_training_starts_from_a_run_and_needs_it_no_longer(photos: Path, cli: Cli) -> None:
    quick = ("--data", str(photos), *SMALL, "--epochs", "1")
    assert cli("train", *quick, "--run-name", "one").exit_code == 0
    (photos / "red").rename(photos / "yellow")
    # With no step that changes anything it is still the model that it began as.
    still = ("--from", "runs/one", "--batch-size", "6", "--no-export", "--lr", "1e-30")
    made = cli("train", "--data", str(photos), *still, "--epochs", "1", "--run-name", "two")
    assert made.exit_code == 0, made.stderr
    assert "runs/one/checkpoints/best.safetensors (epoch 1), 2 of its 3 classes kept, 1 new (yellow)" in made.stderr
    one, two = (load_checkpoint(RunFolder(Path("runs") / name).best) for name in ("one", "two"))
    assert two.header.preprocess == one.header.preprocess
    rows = one.part(MODEL)["head.weight"], two.part(MODEL)["head.weight"]
    assert torch.equal(rows[0][:2], rows[1][:2])
    assert not torch.equal(rows[0][2], rows[1][2])
    assert "1 new (yellow)" in json.loads(Path("runs/two/environment.json").read_text())["first_weights"]
    assert 'start_from = "runs/one"' in Path("runs/two/config.toml").read_text()
    Path("runs/one").rename("moved")
    assert cli("resume", "runs/two", "--epochs", "2").exit_code == 0
    refused = cli("resume", "runs/two", "--from", "moved")
    assert refused.exit_code == 2
    assert "--from: cannot change in a run that has begun" in refused.stderr
    assert cli("train", "--data", str(photos), "--from", "moved", "--dry-run").exit_code == 0
    assert cli("train", "--data", str(photos), "--from", "moved", "--show-batch", "x.png").exit_code == 0


def test_from_python(photos: Path, run: Path) -> None:
    quick: dict[str, Any] = {"batch_size": 6, "epochs": 1, "export": False, "val_split": 0.5}
    trained = api.train(data=str(photos), start_from=run, **quick)
    assert api.preview(TrainSettings(start_from=run)).rates
    assert json.loads((trained.run / "environment.json").read_text())["first_weights"].endswith(
        "new classifier, none of its 3 classes is among these"
    )
    with pytest.raises(UsageError, match="model: the model of"):
        api.train(data=str(photos), start_from=run, model="test_resnet", **quick)
