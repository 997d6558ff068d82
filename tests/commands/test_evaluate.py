"""clfctl eval: what it prints and writes, for the run's own data and for others, and what it refuses."""

import csv
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet
from sklearn.metrics import accuracy_score, f1_score
from typer.testing import CliRunner, Result

from clfctl.cli.app import make_app
from clfctl.runs.checkpoint import load_checkpoint, save_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.storage.json_lines import read_json_lines
from tests.conftest import QUICK, SMALL, make_photos

Cli = Callable[..., Result]
FILES = {"report.html", "metrics.json", "confused.csv", "confusion.png", "reliability.png", "predictions.parquet"}


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on digits that makes some mistakes."""
    runs = tmp_path_factory.mktemp("digits")
    few = (*QUICK, "--val-split", "0.3", "--lr", "0.01", "--quiet")
    words = ["train", *few, "--runs-dir", str(runs), "--run-name", "d"]
    result = CliRunner().invoke(make_app("train"), words)
    assert result.exit_code == 0, result.output
    return runs / "d"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/ and runs/p, a run on them."""
    root = tmp_path_factory.mktemp("made")
    photos = make_photos(root)
    words = ["train", "--data", str(photos), *SMALL, "--epochs", "2", "--lr", "1e-3"]
    result = CliRunner().invoke(make_app("train"), [*words, "--runs-dir", str(root / "runs"), "--run-name", "p"])
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def run(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The run on photos, without evaluations; figures, half a second for each, are those of the run on digits."""
    monkeypatch.setattr("clfctl.display.eval_files.save_figure", lambda path, figure: None)
    monkeypatch.setattr("clfctl.display.report.svg_of", lambda figure, label: f"<svg aria-label='{label}'></svg>")
    yield made / "runs/p"
    shutil.rmtree(made / "runs/p/eval", ignore_errors=True)


def measured(cli: Cli, *words: str) -> dict[str, object]:
    result = cli("eval", *words, "--json")
    assert result.exit_code == 0, result.output
    record: dict[str, object] = json.loads(result.stdout)
    return record


@pytest.mark.slow
def test_files_agree_with_each_other_and_with_scikit_learn(digits_run: Path, cli: Cli) -> None:
    result = cli("eval", str(digits_run))
    assert result.exit_code == 0, result.output
    folder = digits_run / "eval/val-best"
    assert {each.name for each in folder.iterdir()} == {*FILES, "mistakes.png"}
    assert f"Wrote {folder}/report.html\n  and beside it confused.csv, " in result.stderr
    metrics = json.loads((folder / "metrics.json").read_text())
    best = next(each for each in reversed(read_json_lines(RunFolder(digits_run).history)) if each["is_best"])
    assert metrics["top1"] == best["val_top1"] < 1
    assert metrics["loss"] == pytest.approx(best["val_loss"], rel=1e-6)
    table = parquet.read_table(folder / "predictions.parquet").to_pydict()
    assert metrics["n_images"] == len(table["file"]) == len(set(table["file"]))
    assert accuracy_score(table["true"], table["predicted"]) == metrics["top1"]
    f1 = f1_score(table["true"], table["predicted"], average="macro")
    assert metrics["macro"]["f1"] == pytest.approx(f1)
    shares = np.array([table[f"p_{n}"] for n in range(10)]).T
    assert [str(n) for n in shares.argmax(1)] == table["predicted"]
    worst = metrics["mistakes"][0]
    place = table["file"].index(worst["file"])
    assert (worst["true"], worst["predicted"]) == (table["true"][place], table["predicted"][place])
    assert worst["true_probability"] == shares[place, int(worst["true"])]
    with (folder / "confused.csv").open() as file:
        pairs = list(csv.DictReader(file))
    assert sum(int(each["n"]) for each in pairs) == round((1 - metrics["top1"]) * metrics["n_images"])
    for name in ("confusion.png", "reliability.png", "mistakes.png"):
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 200


@pytest.mark.slow
def test_plain_lines_for_a_file_json_for_a_script_nothing_when_quiet(digits_run: Path, cli: Cli) -> None:
    lines = cli("eval", str(digits_run), "--top", "2").stdout.splitlines()
    assert re.match(rf"{digits_run}, best.safetensors of epoch [12]: 539 val images of digits, 10 classes", lines[0])
    assert lines[1].startswith("accuracy (top 1)  ")
    assert sum(line.startswith("class  ") for line in lines) == 2
    assert sum(line.startswith("confused  ") for line in lines) == 2
    record = measured(cli, str(digits_run))
    folder = Path(str(record.pop("folder")))
    assert record == json.loads((folder / "metrics.json").read_text())
    quiet = cli("eval", str(digits_run), "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")


@pytest.mark.slow
def test_each_question_has_a_folder_of_its_own(run: Path, made: Path, cli: Cli) -> None:
    other = shutil.copytree(made / "photos", made / "more/photos", dirs_exist_ok=True)
    (other / "red/0.jpg").unlink()
    copy = shutil.copy(run / "checkpoints/last.safetensors", made / "a copy.safetensors")
    questions = (
        (), ("--checkpoint", "last"), ("--checkpoint", str(run / "checkpoints/best.safetensors")),
        ("--checkpoint", str(copy)), ("--tta", "3"), ("--data", str(made / "photos")), ("--data", str(other)),
    )  # fmt: skip
    folders = [Path(str(measured(cli, str(run), *words)["folder"])).name for words in questions]
    assert folders[:3] == ["val-best", "val-last", "val-best"]
    assert folders[3].startswith("val-a_copy-")
    assert folders[4:6] == ["val-best-tta3", "val-best"]
    assert folders[6].startswith("all-photos-")
    assert sorted(each.name for each in (run / "eval").iterdir()) == sorted(set(folders))


def test_moved_data_is_the_runs_own(run: Path, made: Path, tmp_path: Path, cli: Cli) -> None:
    moved = shutil.copytree(made / "photos", tmp_path / "elsewhere")
    own, other = measured(cli, str(run)), measured(cli, str(run), "--data", str(moved))
    assert (other["split"], other["n_images"], other["top1"]) == ("val", own["n_images"], own["top1"])
    assert "the same images that the run was trained on: only those held out are measured" in str(other["notes"])
    (moved / "red/0.jpg").unlink()
    assert measured(cli, str(run), "--data", str(moved))["n_images"] == 23


def test_changed_data_is_told(run: Path, made: Path, cli: Cli) -> None:
    added = made / "photos/red/new.jpg"
    shutil.copy(made / "photos/red/0.jpg", added)
    try:
        record = measured(cli, str(run))
    finally:
        added.unlink()
    assert "has changed since the run began: 1 added (red/new.jpg)" in str(record["notes"])
    assert measured(cli, str(run))["notes"] == []


def test_classes_are_matched_by_name(run: Path, made: Path, tmp_path: Path, cli: Cli) -> None:
    """A class before all others, one missing: by number every image would have another class."""
    data = shutil.copytree(made / "photos", tmp_path / "data")
    (data / "blue").rename(data / "aardvark")
    result = cli("eval", str(run), "--data", str(data), "--json")
    record = json.loads(result.stdout)
    assert (record["n_images"], record["unknown_classes"], record["absent_classes"]) == (16, {"aardvark": 8}, ["blue"])
    assert "8 images are left out, as the model does not know the class: aardvark." in result.stderr
    assert "1 of the model's 3 classes has no images and is left out of every mean: blue." in result.stderr
    whole = measured(cli, str(run), "--data", str(shutil.copytree(made / "photos", tmp_path / "w", ignore=only_first)))
    by_name = {each["name"]: each for each in record["classes"]}
    for each in whole["classes"]:  # type: ignore[attr-defined]
        if each["name"] != "blue":
            assert by_name[each["name"]]["recall"] == each["recall"]
    assert by_name["blue"]["support"] == 0
    assert by_name["blue"]["recall"] is None
    report = (Path(record["folder"]) / "report.html").read_text()
    assert "left out of all means: blue" in report


def only_first(folder: str, names: list[str]) -> list[str]:
    """So that the copy is not the run's own data."""
    return ["0.jpg"] if folder.endswith("blue") else []


def test_a_bad_image_is_left_out_and_told(run: Path, made: Path, tmp_path: Path, cli: Cli) -> None:
    data = shutil.copytree(made / "photos", tmp_path / "data")
    (data / "red/3.jpg").write_bytes(b"no image")
    record = measured(cli, str(run), "--data", str(data), "--tta", "2")
    assert record["n_images"] == 23
    assert list(record["bad_images"]) == [str(data / "red/3.jpg")]  # type: ignore[call-overload]
    assert "Bad images left out: 1" in str(record["notes"])


def test_the_result_is_the_same_each_time(run: Path, cli: Cli) -> None:
    folder = run / "eval/val-best-tta5"
    assert cli("eval", str(run), "--tta", "5").exit_code == 0
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    assert cli("eval", str(run), "--tta", "5").exit_code == 0
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


def test_without_mistakes_there_is_no_picture_of_them(run: Path, made: Path, tmp_path: Path, cli: Cli) -> None:
    """The images are put into the folders of the answers: then every answer is right."""
    data = tmp_path / "data"
    first = measured(cli, str(run), "--data", str(mirror(made / "photos", tmp_path / "all")))
    answers = parquet.read_table(Path(str(first["folder"])) / "predictions.parquet").to_pylist()
    for each in answers:
        target = data / each["predicted"] / each["file"].replace("/", "_")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(each["file"], target)
    record = measured(cli, str(run), "--data", str(data))
    folder = Path(str(record["folder"]))
    assert (record["top1"], record["confused"], record["mistakes"]) == (1.0, [], [])
    assert not (folder / "mistakes.png").exists()
    assert "every answer is right" in (folder / "report.html").read_text()


def mirror(source: Path, target: Path) -> Path:
    """The same images, but one: not the run's own data."""
    shutil.copytree(source, target)
    (target / "red/0.jpg").unlink()
    return target


@pytest.mark.parametrize(("words", "code", "message"), [
    (("--split", "all"), 2, "--split: 'all' (from the command line) is not allowed; it must be one of val, test"),
    (("--split", "test"), 2, "has no test images"),
    (("--tta", "0"), 2, "--tta: '0' (from the command line) is not allowed"),
    (("--tta", "13"), 2, "--tta: '13' (from the command line) is not allowed"),
    (("--top", "0"), 2, "--top"),
    (("--checkpoint", "nope"), 2, "--checkpoint: nope does not exist"),
    (("--checkpoint", "."), 2, "--checkpoint: . is not a file"),
    (("--data", "nowhere"), 2, "nowhere is neither a folder nor the name of a data set"),
    (("--data", "digits"), 1, "none of its classes is one that the model knows"),
])  # fmt: skip
def test_wrong_usage_is_one_sentence(words: tuple[str, ...], code: int, message: str, run: Path, cli: Cli) -> None:
    result = cli("eval", str(run), *words)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (run / "eval").exists()


def test_a_run_of_a_gpu_can_be_measured_without(run: Path, tmp_path: Path, cli: Cli) -> None:
    checkpoint = load_checkpoint(run / "checkpoints/best.safetensors")
    checkpoint.meta["settings"] |= {"device": "cuda:7", "amp": "fp16"}
    file = tmp_path / "gpu.safetensors"
    save_checkpoint(file, checkpoint)
    result = cli("eval", str(run), "--checkpoint", str(file))
    assert result.exit_code == 2
    assert "--device: 'cuda:7' is not available" in result.stderr
    record = measured(cli, str(run), "--checkpoint", str(file), "--device", "cpu", "--batch-size", "5")
    assert record["loss"] == pytest.approx(measured(cli, str(run))["loss"], rel=1e-5)


def test_a_history_of_another_program_is_no_traceback(run: Path, tmp_path: Path, cli: Cli) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "history.jsonl").write_text('{"epoch": 1, "loss": "low"}\n')
    folder = Path(str(measured(cli, str(copy))["folder"]))
    assert "no finished epoch" in (folder / "report.html").read_text()


def test_an_onnx_file_stands_for_its_checkpoint_and_that_is_said(run: Path, cli: Cli) -> None:
    file = run / "some.onnx"
    file.write_bytes(b"")
    try:
        note = f"What is measured is the checkpoint {run}/checkpoints/best.safetensors, not {file}."
        result = cli("eval", str(file), "--json")
        assert (result.exit_code, note in result.stderr) == (0, True), result.stderr
        assert note in json.loads(result.stdout)["notes"]
    finally:
        file.unlink()
    Path("elsewhere.onnx").write_bytes(b"")
    result = cli("eval", "elsewhere.onnx")
    assert result.exit_code == 2
    assert "elsewhere.onnx lies in no run: there is no checkpoint to measure" in result.stderr


def test_a_run_whose_checkpoint_is_gone_says_so(run: Path, tmp_path: Path, cli: Cli) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "checkpoints/best.safetensors").unlink()
    assert "last.safetensors" in str(measured(cli, str(copy))["checkpoint"])
    (copy / "checkpoints/last.safetensors").unlink()
    result = cli("eval", str(copy))
    assert result.exit_code == 1
    assert "last.safetensors cannot be read" in result.stderr
