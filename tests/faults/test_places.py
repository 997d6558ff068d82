"""Runs used from other folders, machines without a home folder, and names that are not UTF-8."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from clfctl.planning.place import Place, place_here
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import read_header, read_last
from clfctl.settings.groups import TrainSettings
from clfctl.storage.files import cache_folder
from clfctl.storage.json_lines import read_json_lines
from tests.conftest import SMALL, make_photos

Cli = Callable[..., Result]
# In this process the custom CNN is another one.
MODEL = ("--model", "resnet9_small")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder w1 with images and a run of two epochs that was stopped after the first, both by relative paths."""
    place = tmp_path_factory.mktemp("place") / "w1"
    make_photos(place)
    words = ("train", "--data", "photos", *SMALL, *MODEL, "--epochs", "1", "--run-name", "r1", "--device", "cpu")
    done = subprocess.run(
        [sys.executable, "-m", "clfctl", *words], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def w1(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, so that it is not where it was made."""
    shutil.copytree(trained, tmp_path / "w1")
    return tmp_path / "w1"


@pytest.mark.slow
def test_a_run_is_evaluated_and_resumed_from_another_folder(
    w1: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "work")
    Path("photos/other").mkdir(parents=True)  # of the same name, but not of the run
    evaluated = cli("eval", "../w1/runs/r1")
    assert evaluated.exit_code == 0, evaluated.output
    resumed = cli("resume", "../w1/runs/r1", "--epochs", "2", "--no-export")
    assert resumed.exit_code == 0, resumed.output
    run = RunFolder(Path("../w1/runs/r1"))
    assert read_last(run.last).settings["data"] == "photos"
    assert 'data = "photos"' in run.config.read_text()
    assert [sorted(each["settings"]) for each in read_json_lines(run.changes)] == [["epochs"]]
    # And from where it was begun.
    monkeypatch.chdir(w1)
    assert cli("resume", "runs/r1", "--epochs", "3", "--no-export").exit_code == 0


@pytest.mark.slow
def test_data_that_has_moved_is_named_with_its_run_and_what_to_type(
    w1: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (w1 / "photos").rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "work")
    for command in ("eval", "resume"):
        result = cli(command, "../w1/runs/r1", *(("--epochs", "2") if command == "resume" else ()))
        assert result.exit_code == 2, result.output
        message = " ".join(result.stderr.split())
        assert f"it is the --data photos of the run ../w1/runs/r1, given in {w1}" in message
        assert f"if it has moved: clfctl {command} ../w1/runs/r1 --data PATH" in message
    assert cli("eval", "../w1/runs/r1", "--data", "../elsewhere").exit_code == 0
    resumed = cli("resume", "../w1/runs/r1", "--epochs", "2", "--data", "../elsewhere", "--no-export")
    assert resumed.exit_code == 0, resumed.output
    # Kept relative to where all paths of the run are from.
    assert read_last(RunFolder(Path("../w1/runs/r1")).last).settings["data"] == "../elsewhere"
    monkeypatch.chdir(w1)
    assert cli("eval", "runs/r1").exit_code == 0


@pytest.mark.slow
def test_data_beside_a_run_that_was_moved_alone_is_found_where_it_is_used(
    w1: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = tmp_path / "a" / "b" / "c" / "moved"
    shutil.move(w1 / "runs" / "r1", far)
    monkeypatch.chdir(w1)
    assert cli("eval", str(far)).exit_code == 0


PATHS = [
    ({"data": "photos"}, {"data": "../w1/photos"}),
    ({"data": "photos/train.csv"}, {"data": "photos/train.csv"}),  # not there: as it was typed
    ({"data": "/photos"}, {"data": "/photos"}),
    ({"data": "digits"}, {"data": "digits"}),  # known by name
    ({"data": "mnist"}, {"data": "../w1/mnist"}),  # known by name, but there was a folder of that name
    ({"data_dir": "photos"}, {"data_dir": Path("../w1/photos")}),
    ({"cache_dir": "photos"}, {"cache_dir": Path("../w1/photos")}),
]


@pytest.mark.parametrize(("typed", "seen"), PATHS)
def test_where_paths_lead(
    typed: dict[str, str], seen: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("photos", "mnist"):
        (tmp_path / "w1" / name).mkdir(parents=True)
    (tmp_path / "w2").mkdir()
    settings, place = TrainSettings.model_validate(typed), Place((tmp_path / "w1").resolve())
    monkeypatch.chdir(tmp_path / "w2")
    found = place.here(settings)
    assert {name: getattr(found, name) for name in seen} == seen
    if found != settings:
        assert place.kept(found) == settings
    monkeypatch.chdir(tmp_path / "w1")
    assert place.here(settings) is settings
    assert place.kept(settings) is settings
    assert place_here() == place


def test_a_header_says_where_paths_start_from(w1: Path) -> None:
    assert read_header(w1 / "runs/r1/checkpoints/best.safetensors").given_in == "../.."


NO_HOME = """
import os, sys, pathlib
del os.environ["HOME"]
os.environ.pop("XDG_CACHE_HOME", None)
import pwd
def nobody(uid): raise KeyError(uid)
pwd.getpwuid = nobody
from clfctl.__main__ import main
sys.argv = ["clfctl", *sys.argv[1:]]
main()
"""


def test_without_a_home_folder_caches_are_among_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user has no entry in passwd."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache_folder().name == f"clfctl-{os.getuid()}"


def test_nothing_fails_without_a_home_folder() -> None:
    """Each in a process of its own would take long: the paths that every command goes through, in one."""
    for words in (("train", "--dry-run", "--data", "~/pics", "--device", "cpu"), ("eval", "~/runs/r1"), ("runs",)):
        done = subprocess.run([sys.executable, "-c", NO_HOME, *words], capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        assert "RuntimeError" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
def test_names_that_are_not_utf8_are_trained_on_written_and_read_back(cli: Cli, tmp_path: Path) -> None:
    """A folder of images, a class, a bad image and the folder of runs, all named in cp1252."""
    root = Path(os.fsdecode(b"caf\xe9"))
    make_photos(root)
    photos = root / "photos"
    (photos / "red").rename(photos / os.fsdecode(b"ros\xe9"))
    (photos / "blue" / os.fsdecode(b"d\xe9j\xe0.jpg")).write_bytes(b"no image")
    words = ("--data", str(photos), "--runs-dir", os.fsdecode(b"l\xe4ufe"), "--run-name", "r")
    trained = cli("train", *words, *SMALL, "--epochs", "1", "--device", "cpu")
    assert trained.exit_code == 0, trained.output
    run = RunFolder(Path(os.fsdecode(b"l\xe4ufe")) / "r")
    assert run.bad_images.is_file()
    assert (run.plots / "loss.png").is_file()
    for command in (("resume", "--epochs", "2", "--no-export"), ("eval",), ("runs", "--json")):
        result = cli(command[0], str(run.path), *command[1:])
        assert result.exit_code == 0, result.output
    assert read_last(run.last).settings["data"] == str(photos)
    assert len(read_json_lines(run.history)) == 2
