"""A real run of the digits, exported as training ends, and images to ask it about."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner, Result

from clfctl.cli.app import make_app
from clfctl.runs.folder import RunFolder

# Forty small steps: this one then knows more than nine of ten digits, and most of them whatever a processor rounds.
STEPS = ("--model", "resnet9_small", "--epochs", "1", "--batch-size", "16", "--lr", "1e-3")
ENOUGH = ("--data", "digits", "--augment", "none", "--max-per-class", "60", *STEPS)
N_IMAGES = 12


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Result]:
    folder = tmp_path_factory.mktemp("exported")
    words = ["train", *ENOUGH, "--runs-dir", str(folder), "--run-name", "digits"]
    result = CliRunner().invoke(make_app("train"), words)
    assert result.exit_code == 0, result.output
    return RunFolder(folder / "digits"), result


@pytest.fixture(scope="session")
def run(training: tuple[RunFolder, Result]) -> RunFolder:
    return training[0]


@pytest.fixture
def copy(run: RunFolder) -> RunFolder:
    """The run, to be changed."""
    return RunFolder(Path(shutil.copytree(run.path, "copy")))


def digit(n: int) -> Image.Image:
    """One of scikit-learn's digits, 8 x 8 pixels of grey."""
    return Image.fromarray(np.round(load_digits().images[n] * 255 / 16).astype(np.uint8))


@pytest.fixture
def digits() -> Path:
    """A folder of twelve digits, named by number and class, in two folders."""
    for n in range(N_IMAGES):
        path = Path(f"digits/{n % 2}/{n:02}-{load_digits().target[n]}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        digit(n).save(path)
    return Path("digits")
