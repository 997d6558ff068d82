"""Two small runs that tell three colours apart, one of them evaluated, for all tests of the app's pages."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clfctl.cli.app import make_app
from tests.conftest import make_photos

LEARN = ("--model", "resnet9_small", "--image-size", "32", "--batch-size", "6", "--augment", "none", "--lr", "3e-3")


def invoke(*words: str) -> None:
    result = CliRunner().invoke(make_app(words[0]), list(words))
    assert result.exit_code == 0, result.output


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Streamlit puts the page in the place of the program, which a process that is spawned later would then run."""
    program = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = program


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures of three classes."""
    return make_photos(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A folder with the runs `one`, which torch answers for, and `two`, which ONNX Runtime does."""
    folder = tmp_path_factory.mktemp("app") / "runs"
    train = ("train", "--data", str(pictures), *LEARN, "--runs-dir", str(folder))
    invoke(*train, "--run-name", "one", "--epochs", "6", "--no-export")
    invoke(*train, "--run-name", "two", "--epochs", "4", "--scheduler", "step")
    invoke("eval", str(folder / "two"))
    return folder
