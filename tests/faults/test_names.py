"""Names that are not UTF-8 in every command: of a class, an image, the data and the folder of runs."""

import json
import os
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from clfctl.cli.app import make_app
from clfctl.runs.folder import RunFolder
from clfctl.storage.json_lines import read_json_lines
from clfctl.storage.names import read_back
from tests.conftest import SMALL_IMAGES, make_photos

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there alone")
Cli = Callable[..., Result]
LATIN_1 = os.fsdecode("é".encode("latin-1"))
CLASS, BAD = f"caf{LATIN_1}", f"bad{LATIN_1}.jpg"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data that has such names, a bad image and two doubles among them."""
    place = tmp_path_factory.mktemp("names")
    photos = make_photos(place)
    (photos / "red").rename(photos / CLASS)
    (photos / CLASS / BAD).write_text("no image")
    (photos / CLASS / f"double{LATIN_1}.jpg").write_bytes((photos / CLASS / "0.jpg").read_bytes())
    photos.rename(place / f"data{LATIN_1}")
    return place


@pytest.fixture(scope="module")
def trained(place: Path) -> RunFolder:
    """A run in a folder of such a name, with its model as ONNX."""
    words = ("train", "--data", str(place / f"data{LATIN_1}"), *SMALL_IMAGES, "--epochs", "2")
    result = run(*words, "--runs-dir", str(place / f"runs{LATIN_1}"), "--run-name", f"run{LATIN_1}")
    assert result.exit_code == 0, result.output
    return RunFolder(place / f"runs{LATIN_1}/run{LATIN_1}")


def run(*words: str) -> Result:
    """Run a command line, with streams as strict as a terminal's."""
    result = CliRunner().invoke(make_app(words[0]), list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.slow
def test_training_leaves_all_its_files(trained: RunFolder, place: Path) -> None:
    assert [each["image"] for each in read_json_lines(trained.bad_images)] == [
        str(place / f"data{LATIN_1}" / CLASS / BAD)
    ]
    assert json.loads(trained.classes.read_text()) == ["blue", CLASS, "green"]
    config = tomllib.loads(trained.config.read_text())
    assert read_back(config["data"]) == str(place / f"data{LATIN_1}")
    assert len([*trained.plots.iterdir()]) == 3
    assert trained.onnx.is_file()


@pytest.mark.slow
def test_its_config_trains_again(trained: RunFolder, place: Path) -> None:
    result = run("train", "--config", str(trained.config), "--runs-dir", str(place / "again"), "--no-export")
    assert result.exit_code == 0, result.output


@pytest.mark.slow
@pytest.mark.parametrize("words", [("--epochs", "3"), ("--batch-size", "5", "--epochs", "4")])
def test_it_is_resumed(words: tuple[str, ...], trained: RunFolder) -> None:
    result = run("resume", str(trained.path), *words)
    assert result.exit_code == 0, result.output
    assert r"runs\xe9" in result.stderr


COMMANDS = [
    ("runs", "{runs}"),
    ("runs", "{runs}", "--json"),
    ("lr-preview", "{run}"),
    ("lr-preview", "{run}", "--output", "curve.csv"),
    ("lr-preview", "{run}", "--output", "curve.svg"),
    ("eval", "{run}"),
    ("eval", "{run}", "--json"),
    ("export", "{run}"),
    ("predict", "{run}", "{data}/green"),
    ("train", "--data", "{data}", *SMALL_IMAGES, "--dry-run"),
    ("train", "--data", "{data}", *SMALL_IMAGES, "--show-batch", "batch.png"),
    ("train", "--data", "{data}", *SMALL_IMAGES, "--show-batch", f"batch{LATIN_1}.png"),
]


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: ascii(" ".join(words)))
def test_every_command_works(words: tuple[str, ...], trained: RunFolder, place: Path) -> None:
    names = {"{runs}": trained.path.parent, "{run}": trained.path, "{data}": place / f"data{LATIN_1}"}
    for mark, path in names.items():
        words = tuple(word.replace(mark, str(path)) for word in words)
    result = run(*words)
    assert result.exit_code == 0, result.output
    if "--json" in words:
        assert str(trained.path) in json.dumps(json.loads(result.stdout), ensure_ascii=False) or "eval" in words


@pytest.mark.parametrize("style", ["table", "csv", "json", "jsonl"])
def test_predictions_have_the_names(style: str, trained: RunFolder, place: Path) -> None:
    folder = place / f"data{LATIN_1}" / CLASS
    result = run("predict", str(trained.path), str(folder), "--format", style)
    assert result.exit_code == 1  # one is no image
    assert run("predict", str(trained.path), str(folder), "--format", style, "--output", "out.txt").exit_code == 1
    assert Path("out.txt").read_text() == result.stdout
    match style:
        case "json" | "jsonl":
            lines = json.loads(result.stdout) if style == "json" else map(json.loads, result.stdout.splitlines())
            assert str(folder / BAD) in [line["image"] for line in lines]
        case "csv":
            rows = [line.split(",")[0] for line in result.stdout.splitlines()]
            assert str(folder / BAD) in map(read_back, rows)
    assert r"\xe9" in result.stdout or r"\udce9" in result.stdout


def test_check_data_moves_and_tells(trained: RunFolder, place: Path, tmp_path: Path) -> None:
    result = run("check-data", str(place / f"data{LATIN_1}"), "--quarantine", str(tmp_path / "away"), "--json")
    assert result.exit_code == 1, result.output
    found = {json.loads(line)["file"]: json.loads(line) for line in result.stdout.splitlines()}
    assert found[f"{CLASS}/{BAD}"]["moved_to"]
    assert (
        run("check-data", str(place / f"data{LATIN_1}"), "--quarantine", str(tmp_path / "away"), "--undo").exit_code
        == 0
    )
    Image.open(place / f"data{LATIN_1}" / CLASS / f"double{LATIN_1}.jpg").close()
