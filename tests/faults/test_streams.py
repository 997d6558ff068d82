"""Terminals that lack our characters, standard streams that are closed, and readers that leave early."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from clfctl.cli.app import make_app
from clfctl.runs.folder import RunFolder
from clfctl.runs.state import state_of
from clfctl.storage.json_lines import read_json_lines
from tests.conftest import SMALL, make_photos
from tests.faults import processes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its streams are others")
# In this process the custom CNN is another one.
TRAIN = ("train", "--data", "{}", *SMALL, "--model", "resnet9_small", "--epochs", "2", "--scheduler", "plateau")
# What a shell does to a process: `>&-`, `2>&-`, and a pipe whose reader has gone.
CLOSED = "import os, sys\n"
NO_STDOUT = f"{CLOSED}os.close(1); sys.stdout = None\n"
NO_STDERR = f"{CLOSED}os.close(2); sys.stderr = None\n"
NO_READER = f"""{CLOSED}
reader, writer = os.pipe()
os.dup2(writer, 1); os.close(writer); os.close(reader)
sys.stdout = os.fdopen(1, "w", closefd=False)
"""
NO_READER_OF_BOTH = f"{NO_READER}os.dup2(1, 2); sys.stderr = os.fdopen(2, 'w', closefd=False)\n"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images that all is about."""
    return make_photos(tmp_path_factory.mktemp("streams"))


@pytest.fixture(scope="module")
def made(photos: Path) -> Path:
    """A run of them."""
    result = run(*TRAIN, "--runs-dir", str(photos.parent / "runs"), "--run-name", "made", photos=photos)
    assert result.exit_code == 0, result.output
    return photos.parent / "runs/made"


def run(*words: str, photos: Path, encoding: str = "utf-8") -> Result:
    """Run a command line in this process, with streams of an encoding."""
    words = tuple(word.format(photos) for word in words)
    result = CliRunner(charset=encoding).invoke(make_app(words[0]), list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


# Whatever shows curves, tables, arrows, or a name.
COMMANDS = [
    ("lr-preview", "plateau", "cosine", "--epochs", "9"),
    ("lr-preview", "--list"),
    ("lr-preview", "RUN"),
    (*TRAIN, "--dry-run", "--cache", "disk"),
    ("resume", "RUN", "--scheduler", "step", "--t-max", "3"),
    ("resume", "RUN", "--epochs", "3", "--lr", "0.1"),
    ("runs", "RUN"),
    ("eval", "RUN"),
    ("predict", "RUN", "{}"),
    ("check-data", "{}"),
]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_terminal_without_our_characters_gets_others(
    words: tuple[str, ...], encoding: str, photos: Path, made: Path
) -> None:
    words = tuple(str(made) if word == "RUN" else word for word in words)
    result = run(*words, photos=photos, encoding=encoding)
    text = result.stdout + result.stderr
    assert text
    assert r"\u" not in text
    assert encoding == "latin-1" or text.isascii()


@pytest.mark.parametrize("words", [("--help",), ("train", "--help"), ("lr-preview", "linear", "--epochs", "4")])
def test_a_process_of_such_a_terminal(words: tuple[str, ...]) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    line = [sys.executable, "-m", "clfctl", *words]
    done = subprocess.run(line, capture_output=True, encoding="ascii", env=environment, check=True, timeout=120)
    if words[0] == "lr-preview":
        lines = done.stdout.splitlines()
        assert lines[1].startswith("  0.001 |")
        drawn = "".join(line[9:] for line in lines[1:12])
        assert {*drawn} <= {*" |-_.'\""}
        assert len(drawn.replace(" ", "")) > 60


@pytest.mark.slow
@pytest.mark.parametrize("prepare", [NO_STDOUT, NO_STDOUT + NO_STDERR, NO_READER, NO_READER_OF_BOTH])
def test_training_does_not_need_its_streams(prepare: str, photos: Path) -> None:
    words = (word.format(photos) for word in TRAIN)
    code, error = processes.run(*words, "--run-name", "one", prepare=prepare)
    assert code == 0, error
    assert "Traceback" not in error
    folder = RunFolder(Path("runs/one"))
    assert state_of(folder).state == "finished"
    assert len(read_json_lines(folder.history)) == 2
    assert len([*folder.plots.iterdir()]) == 3


REPORTED = [(NO_STDOUT, ()), (NO_STDERR, ()), (NO_READER, ()), (NO_READER, ("--json",))]


@pytest.mark.slow
@pytest.mark.parametrize(("prepare", "words"), REPORTED)
def test_a_report_does_not_need_its_reader(prepare: str, words: tuple[str, ...], made: Path) -> None:
    report = made / "eval/val-best/report.html"
    report.unlink(missing_ok=True)
    code, error = processes.run("eval", str(made), *words, prepare=prepare)
    assert code == 0, error
    assert "Traceback" not in error
    assert report.is_file()


@pytest.mark.slow
def test_copies_do_not_need_a_reader(photos: Path, made: Path) -> None:
    code, error = processes.run("predict", str(made), str(photos), "--copy-to", "sorted", prepare=NO_READER)
    assert code == 0, error
    assert len([*Path("sorted").rglob("*.jpg")]) == 24


@pytest.mark.parametrize("words", [("predict", "RUN", "PHOTOS"), ("lr-preview", "cosine")], ids=" ".join)
@pytest.mark.parametrize("prepare", [NO_STDOUT, NO_READER])
def test_what_only_prints_ends_without_a_traceback(
    words: tuple[str, ...], prepare: str, photos: Path, made: Path
) -> None:
    names = {"RUN": str(made), "PHOTOS": str(photos)}
    code, error = processes.run(*(names.get(word, word) for word in words), prepare=prepare)
    assert code in ((0,) if prepare == NO_STDOUT else (0, 1))
    assert "Traceback" not in error


@pytest.fixture
def too_deep(tmp_path: Path) -> Iterator[Path]:
    """A folder with images beside a chain of folders whose path is longer than the system allows: even root fails."""
    root = make_photos(tmp_path)
    with chdir(root):
        for _ in range(20):
            Path("d" * 250).mkdir()
            os.chdir("d" * 250)
    yield root
    subprocess.run(["rm", "-rf", str(root)], check=True)


def test_a_folder_that_cannot_be_listed_does_not_end_predict(too_deep: Path, photos: Path, made: Path) -> None:
    for words in (("--format", "json"), ("--format", "json", "--output", "out.json")):
        result = run("predict", str(made), str(too_deep), *words, photos=photos)
        assert result.exit_code == 1
        assert "Not searched: " in result.stderr
        assert len(json.loads(result.stdout or Path("out.json").read_text())) == 24
