"""clfctl probe as a user meets it: features once, a run like any other, and what is refused."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import save_for_hf
from typer.testing import Result

import clfctl
from clfctl.engine.features import Pooled
from clfctl.inference.trained import load_trained
from clfctl.runs.folder import open_run
from tests.conftest import SMALL, make_photos

Cli = Callable[..., Result]
NET = "resnet10t"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of first weights for NET."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    save_file(timm.create_model(NET, num_classes=5).state_dict(), path)
    return path


def probe(cli: Cli, photos: Path, weights: Path, *more: str) -> list[dict[str, object]]:
    words = ("probe", "--data", str(photos), "--model", NET, "--weights", str(weights), "--image-size", "32")
    result = cli(*words, "--json", *more)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.slow
def test_its_run_is_a_run_like_any_other(cli: Cli, photos: Path, weights: Path) -> None:
    (found,) = probe(cli, photos, weights, "--run-name", "p")
    assert found["run"] == "runs/p"
    assert found["model"] == NET
    assert found["features_per_s"]
    result = cli("eval", "runs/p", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["top1"] == pytest.approx(found["top1"])
    for command in ("predict", "explain"):
        answered = cli(command, "runs/p", str(photos / "red/1.jpg"))
        assert answered.exit_code == 0, answered.stderr
    assert "finished" in cli("runs").stdout
    resumed = cli("resume", "runs/p")
    assert resumed.exit_code == 0, resumed.stderr


def test_its_logits_are_those_of_the_regression(photos: Path, weights: Path) -> None:
    found = clfctl.probe(data=photos, model=NET, weights=weights, image_size=32)
    trained, images = load_trained(open_run(found.run)).model, torch.rand(6, 3, 32, 32)
    with torch.inference_mode():
        expected = found.best.head.logits(Pooled(trained)(images).numpy())
        np.testing.assert_allclose(trained(images).numpy(), expected, rtol=0, atol=1e-4)


def test_a_network_in_a_folder_is_known_by_it_from_everywhere(photos: Path) -> None:
    net = timm.create_model(NET, num_classes=5)
    save_for_hf(net, "net", model_config={"architecture": NET, "num_classes": 5})
    found = clfctl.probe(data=photos, model="local-dir:net", image_size=32)
    assert load_trained(open_run(found.run)).info.name == f"local-dir:{Path('net').absolute()}"


@pytest.mark.slow
def test_features_are_computed_once_and_again_for_other_views(cli: Cli, photos: Path, weights: Path) -> None:
    first = probe(cli, photos, weights)[0]
    again = probe(cli, photos, weights)[0]
    assert first["features_per_s"]
    assert again["features_per_s"] is None
    assert (again["top1"], again["c"], again["tried"]) == (first["top1"], first["c"], first["tried"])
    assert probe(cli, photos, weights, "--views", "3")[0]["features_per_s"]
    (photos / "red/0.jpg").unlink()
    assert probe(cli, photos, weights)[0]["features_per_s"]


@pytest.mark.slow
def test_training_from_it_begins_where_it_ended(cli: Cli, photos: Path, weights: Path) -> None:
    found = probe(cli, photos, weights, "--run-name", "p")[0]
    words = ("train", "--from", "runs/p", "--data", str(photos), "--lr", "1e-12", "--epochs", "1", "--run-name", "t")
    # In training too: with statistics of a batch the network would make other features than those it was fitted to.
    result = cli(*words, "--augment", "none", "--no-export")
    assert result.exit_code == 0, result.stderr
    record = json.loads(Path("runs/t/history.jsonl").read_text().splitlines()[0])
    assert record["val_top1"] == pytest.approx(found["top1"])
    assert record["val_loss"] == pytest.approx(found["val_loss"], rel=1e-4)
    assert record["train_loss"] < 0.5 + 2 * record["val_loss"]
    assert "freeze_batch_norm = true" in Path("runs/t/config.toml").read_text()
    stated = cli(*words[:-2], "--no-freeze-batch-norm", "--dry-run", "--json")
    assert json.loads(stated.stdout)["freeze_batch_norm"]["value"] is False


def test_several_networks_are_compared_and_the_best_is_kept(cli: Cli, photos: Path) -> None:
    words = ("probe", "--data", str(photos), "--model", NET, "--model", "custom", "--image-size", "32")
    result = cli(*words, "--no-pretrained", "--run-name", "p", "--plot", "p.png")
    assert result.exit_code == 0, result.stderr
    assert f"network {NET}" in result.stdout
    assert "network custom" in result.stdout
    assert "95 % interval" in result.stdout
    assert "against" in result.stdout.splitlines()[-1]
    assert result.stderr.count("has never been trained") == 2
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(Path("runs/p/probe.json").read_text())
    best = max(found, key=lambda each: (each["top1"], -each["val_loss"]))
    assert load_trained(open_run(Path("runs/p"))).info.name == best["model"]


def test_a_run_is_a_network_too(cli: Cli, photos: Path) -> None:
    trained = cli("train", "--data", str(photos), *SMALL, "--epochs", "1", "--run-name", "t")
    assert trained.exit_code == 0, trained.stderr
    result = cli("probe", "--data", str(photos), "--model", "runs/t", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["model"], found["image_size"]) == ("runs/t", 32)
    assert "never been trained" not in result.stderr
    assert load_trained(open_run(Path(found["run"]))).info.name == "custom"


def test_a_folder_may_be_called_as_a_network_is(cli: Cli, photos: Path, weights: Path) -> None:
    Path(NET).mkdir()
    (found,) = probe(cli, photos, weights)
    assert found["model"] == NET
    Path("other").mkdir()
    result = cli("probe", "--data", str(photos), "--model", "other")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-2].startswith("Error: --model: other is not a run folder")


def test_a_plot_that_cannot_be_written_does_not_hide_the_run(cli: Cli, photos: Path, weights: Path) -> None:
    words = ("--data", str(photos), "--model", NET, "--weights", str(weights), "--image-size", "32")
    result = cli("probe", *words, "--run-name", "p", "--plot", "missing/p.png")
    assert result.exit_code == 1
    assert "Run folder: runs/p" in result.stderr
    assert "missing/p.png" in result.stderr


def test_one_that_was_stopped_before_its_end_is_no_run(
    cli: Cli, photos: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be resumed as a training of all of the network. Stopped as by a kill: nothing is tidied up."""

    def stop(*_: object) -> None:
        raise SystemExit(9)

    monkeypatch.setattr("clfctl.probing.save.write_json_lines", stop)
    monkeypatch.setattr("clfctl.engine.first_files.discard_run", lambda run: None)
    words = ("--data", str(photos), "--model", NET, "--weights", str(weights), "--image-size", "32")
    assert cli("probe", *words, "--run-name", "p").exit_code == 9
    assert Path("runs/p").is_dir()
    result = cli("resume", "runs/p")
    assert result.exit_code == 2
    assert "is not a whole run folder" in result.stderr


def test_from_python(photos: Path, weights: Path) -> None:
    found = clfctl.probe(data=photos, model=NET, weights=weights, image_size=32, run_name="p")
    assert found.run == Path("runs/p")
    assert 0 <= found.best.top1 <= 1
    assert found.best.right.dtype == np.bool_
    assert any("training and" in note for note in found.notes)


def test_features_that_memory_is_not_for_give_the_same(
    photos: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "red/3.jpg").write_bytes(b"not an image")
    words = {"data": photos, "model": NET, "weights": weights, "image_size": 32}
    usual = clfctl.probe(**words, run_name="usual").best
    for module in ("engine.feature_store", "probing.heads"):
        monkeypatch.setattr(f"clfctl.{module}.IN_MEMORY", 0)
    for name, rate in (("computed", True), ("kept", False)):
        found = clfctl.probe(**words, cache_dir=Path("other"), run_name=name).best
        assert bool(found.features_per_s) == rate
        assert (found.top1, found.neighbours, found.n_features) == (usual.top1, usual.neighbours, usual.n_features)
        # One third of the images tells the strengths apart then: another one may be chosen.
        assert found.head.weight.shape == usual.head.weight.shape
    assert [each.suffix for each in Path("other/features").iterdir() if each.suffix != ".lock"] == [".features"] * 2


def test_a_disk_without_room_for_features_is_a_sentence(
    photos: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("clfctl.engine.feature_store.IN_MEMORY", 0)
    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(clfctl.WriteError, match=r"of features do not fit into .*features: No space left on device"):
        clfctl.probe(data=photos, model=NET, weights=weights, image_size=32, cache_dir=Path("other"))
    assert not Path("runs").exists()


def test_images_that_cannot_be_read_are_left_out(cli: Cli, photos: Path, weights: Path) -> None:
    (photos / "red/3.jpg").write_bytes(b"not an image")
    words = ("probe", "--data", str(photos), "--model", NET, "--weights", str(weights), "--image-size", "32")
    for _ in range(2):
        result = cli(*words)
        assert result.exit_code == 0, result.stderr
        assert "Left out: 1 " in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "resnet1O"), "'resnet1O' is not a model"),
        (("--model", "nowhere/run"), "is not a model"),
        (("--model", f"{NET},{NET}"), "name one network or more, each once"),
        (("--model", f"{NET},custom", "--weights", "net.pth"), "one file cannot be the weights of 2 networks"),
        (
            ("--model", "a/run.safetensors", "--weights", "net.pth"),
            "--weights: a/run.safetensors has weights of its own",
        ),
        (("--model", "a/run.safetensors", "--pretrained"), "--pretrained: a/run.safetensors has weights of its own"),
        (("--model", "levit_128s", "--image-size", "224"), "has no linear layer on pooled features"),
        (("--val-split", "0"), "a probe is judged by validation images, and there are none"),
        (("--plot", "p.xyz"), "--plot: cannot tell the format from p.xyz"),
        (("--views", "0"), "--views: '0' (from the command line) is not allowed"),
        (("--views", "13"), "--views: '13' (from the command line) is not allowed"),
    ],
)
def test_bad_input_is_a_sentence(cli: Cli, photos: Path, words: tuple[str, ...], message: str) -> None:
    model = () if "--model" in words else ("--model", NET)
    result = cli("probe", "--data", str(photos), *model, "--image-size", "32", "--no-pretrained", *words)
    assert result.exit_code == 2, result.output
    assert message in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.stderr
    assert not Path("runs").exists()


def test_one_class_is_refused(cli: Cli, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "one")
    for other in ("green", "blue"):
        for path in (photos / other).iterdir():
            path.unlink()
        (photos / other).rmdir()
    result = cli("probe", "--data", str(photos), "--model", NET, "--no-pretrained")
    assert result.exit_code == 1
    assert "class" in result.stderr
    assert "Traceback" not in result.stderr
