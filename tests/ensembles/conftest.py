"""Two small real runs of the digits that differ in size, fit and normalisation, and one that knows other digits."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from clfctl.cli.app import make_app

SMALL = ("--model", "resnet9_small", "--augment", "none", "--epochs", "2", "--batch-size", "16", "--lr", "3e-3")
QUIET = ("--max-per-class", "30", "--no-export", "--quiet")


def trained(folder: Path, name: str, *words: str) -> Path:
    """Train a run and return its folder."""
    options = ["--runs-dir", str(folder), "--run-name", name, *SMALL, *QUIET, *words]
    result = CliRunner().invoke(make_app("train"), ["train", *options])
    assert result.exit_code == 0, result.output
    return folder / name


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs on the same images that see them differently."""
    folder = tmp_path_factory.mktemp("members")
    one = trained(folder, "one", "--data", "digits", "--image-size", "16")
    return one, trained(folder, "two", "--data", "digits", "--image-size", "8", "--fit", "letterbox")


def digit(n: int) -> Image.Image:
    """One of scikit-learn's digits, large enough that sizes and fits make a difference."""
    pixels = np.round(load_digits().images[n] * 255 / 16).astype(np.uint8)
    return Image.fromarray(pixels).resize((40, 28))
