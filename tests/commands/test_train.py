"""clfctl train, resume, eval and predict from the command line, with real short trainings."""

import io
import json
import shlex
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from sklearn.datasets import load_digits
from typer.testing import Result

from clfctl.data.sources.open import open_data
from clfctl.display.settings_table import groups_table
from clfctl.engine.describe import GroupRow
from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.settings.data import DataSettings
from clfctl.storage.json_lines import read_json_lines
from tests.conftest import QUICK

Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Result]:
    """One run of the digits, trained by the command line with `--json`."""
    from typer.testing import CliRunner

    from clfctl.cli.app import make_app

    folder = tmp_path_factory.mktemp("trained")
    words = [
        "train",
        *QUICK,
        "--epochs",
        "3",
        "--runs-dir",
        str(folder),
        "--run-name",
        "one",
        "--json",
        "--warmup",
        "1",
    ]
    result = CliRunner().invoke(make_app("train"), words)
    assert result.exit_code == 0, result.output
    return RunFolder(folder / "one"), result


@pytest.mark.slow
def test_run_folder_is_complete(trained: tuple[RunFolder, Result]) -> None:
    run, result = trained
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert read_json_lines(run.history) == lines
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert json.loads(run.classes.read_text()) == [str(digit) for digit in range(10)]
    environment = json.loads(run.environment.read_text())
    assert environment["n_threads"] >= 1
    assert set(environment) >= {"packages", "device", "git", "command", "python"}
    assert sorted(path.name for path in run.plots.iterdir()) == ["accuracy.png", "loss.png", "lr.png"]
    assert run.best.is_file()
    assert load_checkpoint(run.last).meta["cursor"]["epoch"] == 3
    assert tomllib.loads(run.config.read_text())["warmup"] == "1"
    assert not run.bad_images.exists()


@pytest.mark.slow
def test_next_steps_are_commands_that_work(trained: tuple[RunFolder, Result], cli: Cli, tmp_path: Path) -> None:
    run, result = trained
    for step in ("eval", "predict", "explain", "serve", "resume"):
        assert f"clfctl {step} {run.path}" in result.stderr
    assert f"clfctl app {run.path.parent}" in result.stderr
    measured = json.loads(cli("eval", str(run.path), "--json").stdout)
    best = next(line for line in reversed(read_json_lines(run.history)) if line["is_best"])
    assert measured["top1"] == best["val_top1"]
    assert measured["loss"] == pytest.approx(best["val_loss"], rel=1e-6)
    digits = load_digits()
    held_out = open_data(DataSettings(data="digits", val_split=0.8), 0).val
    for i in held_out.indices:
        pixels = np.round(digits.images[i] * 255 / 16).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}-{digits.target[i]}.png")
    (tmp_path / "bad.png").write_text("no")
    named = cli("predict", str(run.path), str(tmp_path), "--json", "--top-k", "2")
    lines = [json.loads(line) for line in named.stdout.splitlines()]
    right = [
        next(iter(line["classes"])) == Path(line["image"]).stem.split("-")[1] for line in lines if "classes" in line
    ]
    # The same images through files and another command: the same answers.
    assert sum(right) / len(held_out) == pytest.approx(measured["top1"])
    assert named.exit_code == 1
    assert lines[-1] == {"image": str(tmp_path / "bad.png"), "error": "is not in an image format that can be read"}
    resumed = cli("resume", str(run.path))
    assert resumed.exit_code == 0
    assert "nothing left to train" in resumed.stderr


@pytest.mark.slow
def test_saved_config_trains_the_same_again(trained: tuple[RunFolder, Result], cli: Cli) -> None:
    run, result = trained
    again = cli("train", "--config", str(run.config), "--runs-dir", "again", "--json")
    assert again.exit_code == 0, again.stderr
    losses = [[json.loads(line)["val_loss"] for line in each.stdout.splitlines()] for each in (result, again)]
    assert losses[0] == losses[1]
    assert Path("again/custom-1").is_dir()


@pytest.mark.slow
def test_a_taken_name_is_refused_and_nothing_is_touched(trained: tuple[RunFolder, Result], cli: Cli) -> None:
    run, _ = trained
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    result = cli("train", *QUICK, "--runs-dir", str(run.path.parent), "--run-name", "one")
    assert result.exit_code == 2
    assert "exists already" in result.stderr
    Path("runs").mkdir()
    shutil.copytree(run.path, "runs/my run")
    hint = cli("train", "--run-name", "my run").stderr
    assert "--run-name 'my run-{n}'" in hint
    assert shlex.split(hint)[-3:] == ["clfctl", "resume", "runs/my run"]
    assert "{n}" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


@pytest.mark.slow
def test_plain_output_has_a_line_an_epoch(cli: Cli, photos: Path) -> None:
    for name in ("red/0.jpg", "blue/1.jpg"):
        (photos / name).write_text("no image")
    words = ("--data", str(photos), "--image-size", "32", "-b", "6", "-e", "2", "--run-name", "p-{n}", "-w", "0.5")
    result = cli("train", *words)
    assert result.exit_code == 0, result.output
    assert [line.split("  ")[0] for line in result.stdout.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert "\x1b" not in result.output
    assert "Bad images skipped: 2" in result.stderr
    run = RunFolder(Path("runs/p-1"))
    assert {Path(each["image"]).name for each in read_json_lines(run.bad_images)} == {"0.jpg", "1.jpg"}
    stopped = cli("train", *words, "--on-bad-image", "error")
    assert stopped.exit_code == 1
    assert "cannot be read" in stopped.stderr


@pytest.mark.slow
def test_quiet_prints_nothing(cli: Cli) -> None:
    result = cli("train", *QUICK, "--epochs", "1", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert Path("runs/custom-1").is_dir()


@pytest.mark.slow
def test_timm_model_with_weights_of_a_run(cli: Cli, photos: Path) -> None:
    words = ("--data", str(photos), "--image-size", "32", "-b", "6", "-e", "1", "--no-export",
             "--model", "mobilenetv3_small_050")  # fmt: skip
    first = cli("train", *words, "--no-pretrained")
    assert first.exit_code == 0, first.output
    saved = "runs/mobilenetv3_small_050-1/checkpoints/best.safetensors"
    second = cli("train", *words, "--weights", saved, "--optimizer", "lamb")
    assert second.exit_code == 0, second.output
    assert saved in second.stderr


@pytest.mark.usefixtures("real_cnn")
def test_dry_run_shows_all_and_makes_nothing(cli: Cli) -> None:
    Path("clfctl.toml").write_text("lr = 0.002")
    result = cli("train", "--recipe", "long-cosine", "--dry-run", "--warmup", "2")
    assert result.exit_code == 0, result.output
    text = result.stdout
    for row in ("--lr 0.002 config file clfctl.toml", "--t-max 50 recipe long-cosine", "--warmup 2 command line"):
        assert row in " ".join(text.split())
    assert "4.72 M parameters" in text
    panels = [
        line
        for line in map(str.strip, text.splitlines())
        if line in ("Optimization", "Fine-tuning", "Training", "Data")
    ]
    assert sorted(panels) == ["Data", "Fine-tuning", "Optimization", "Training"]
    assert "⠒" in text or "⠉" in text
    assert not Path("runs").exists()
    values = json.loads(cli("train", "--dry-run", "--json").stdout)
    assert values["epochs"] == {"value": 8, "from": "default for digits"}
    (group,) = values["param_groups"]["value"]
    assert (group["name"], group["n_parameters"], group["starts_at"]) == ("all", 4_719_338, 0)


@pytest.mark.usefixtures("real_cnn")
def test_dry_run_shows_the_param_groups(cli: Cli) -> None:
    words = ("train", "--dry-run", "--freeze", "backbone", "--unfreeze-at", "4", "--backbone-lr-scale", "0.5", "--lr",
             "0.01", "--scheduler", "linear", "-e", "8")  # fmt: skip
    result = cli(*words)
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert "frozen backbone 4,714,208 0.0025 0 from epoch 5" in text
    assert "classifier 5,130 0.01 0 from epoch 1" in text
    assert "Frozen 4,714,208 of 4,719,338 parameters, 30 of 32 tensors (--freeze backbone) until epoch 5" in text
    groups = json.loads(cli(*words, "--json").stdout)["param_groups"]["value"]
    assert [(each["name"], each["starts_at"]) for each in groups] == [("frozen backbone", 4), ("classifier", 0)]


def test_the_param_groups_fit_a_narrow_terminal() -> None:
    names = ("frozen backbone, not decayed", "classifier, not decayed")
    rows = [GroupRow(names[0], 303_301_632, 5e-05, 0.05, 3), GroupRow(names[1], 10, 0.00123, 0, None)]
    console = Console(width=80, file=io.StringIO())
    console.print(groups_table(rows))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    assert [line.split("  ")[0] for line in lines[2:]] == list(names)
    assert [line.split("  ")[-1].strip() for line in lines[2:]] == ["from epoch 4", "never"]


BAD = [
    (("--data", "nowhere"), 2, "--data: nowhere is neither a folder nor the name of a data set"),
    (("--model", "efficientnet_bo"), 2, "efficientnet_b0"),
    (("--batch-size", "5000"), 2, "--batch-size: 5000 is more than the 1438 training images"),
    (("--device", "cuda:7"), 2, "--device: 'cuda:7' is not available"),
    (("--amp", "fp16", "--device", "cpu"), 2, "--amp: fp16 needs a CUDA device"),
    (("--optimizer", "adamm"), 2, "--optimizer: 'adamm' is not an optimizer"),
    (("--val-split", "0"), 2, "--monitor: val_loss needs validation images"),
    (("--warmup", "8", "--strict"), 2, "--strict: warmup takes 8 epochs and training has 8"),
    (("--warmup", "soon"), 2, "--warmup: 'soon' (from the command line) is not allowed; it must be epochs"),
    (("--run-name", "a/b"), 2, "--run-name: 'a/b' cannot be the name"),
    (("--runs-dir", "/proc/runs"), 1, "--runs-dir: cannot make a run folder in /proc/runs"),
    (("--weights", "gone.pth"), 2, "--weights: gone.pth does not exist"),
    (("--image-size", "16"), 2, "--image-size: custom cannot take images of 16 pixels"),
    (("--freeze", "blocks.*"), 2, "--freeze: no parameter of the model matches 'blocks.*'"),
    (("--freeze", "stages", "--freeze", "."), 2, "--freeze: '.' matches all 32 parameters"),
    (("--unfreeze-at", "2"), 2, "--unfreeze-at: nothing is frozen"),
    (("--freeze", "2", "--unfreeze-at", "8"), 2, "--unfreeze-at: 8 is after the end: training has 8 epochs"),
    (("--layer-decay", "1"), 2, "--layer-decay: '1' (from the command line) is not allowed; it must be a number"),
]


@pytest.mark.parametrize(("words", "code", "message"), BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    words: tuple[str, ...], code: int, message: str, cli: Cli
) -> None:
    result = cli("train", *words)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert len([line for line in result.stderr.splitlines() if line.strip()]) <= 2
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


def test_what_is_no_run_is_said(cli: Cli, trained: tuple[RunFolder, Result]) -> None:
    run, _ = trained
    for command in (("resume", "gone"), ("eval", "gone"), ("predict", "gone", "x.png")):
        result = cli(*command)
        assert result.exit_code == 2
        assert "gone is not a run folder" in result.stderr
    assert str(run.path) in cli("resume", str(run.path.parent)).stderr
    assert "must be one of val, test" in cli("eval", str(run.path), "--split", "all").stderr
    assert "digits has no test images" in cli("eval", str(run.path), "--split", "test").stderr
    assert "does not exist" in cli("predict", str(run.path), "x.png").stderr


@pytest.mark.slow
def test_diverging_run_says_what_to_try(cli: Cli) -> None:
    result = cli("train", *QUICK, "--lr", "1e30", "--optimizer", "sgd")
    assert result.exit_code == 1
    assert "loss is no longer finite: epoch 1, batch " in result.stderr
    assert "try a lower --lr" in result.stderr
