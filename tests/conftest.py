"""What the tests share: a clean environment, the command line in process, and small real image folders."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image
from typer.testing import CliRunner, Result

from clfctl.cli.app import make_app
from clfctl.cli.spinning import SHORT, VARIABLE
from clfctl.models import custom_cnn

os.environ.setdefault(VARIABLE, SHORT)
settings.register_profile("clfctl", deadline=None, derandomize=True)
settings.load_profile("clfctl")

# The custom CNN is a narrow one here: nearly no test is of how well it learns, and four files of the trainer took 153 s
# with its own widths, and take 40. `make demo`, which CI runs too, trains it as it is.
WIDTHS, custom_cnn.WIDTHS = custom_cnn.WIDTHS, (8, 8, 16, 16, 32)

# Settings of a training of one or two seconds.
QUICK = ("--data", "digits", "--val-split", "0.8", "--batch-size", "100", "--epochs", "2", "--no-export")

# Settings of a training on `photos`, whose epoch is three batches.
SMALL_IMAGES = ("--image-size", "32", "--batch-size", "6")
SMALL = (*SMALL_IMAGES, "--no-export")


# Begun last, one of these files would keep a core waiting for minutes.
LONGEST = ("faults", "engine", "inference")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with the longest tests first."""
    items.sort(key=lambda item: not set(LONGEST) & set(item.path.parts))


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, no CLFCTL_ variable, and a cache of its own."""
    for name in [name for name in os.environ if name.startswith("CLFCTL_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def real_cnn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The custom CNN as it is."""
    monkeypatch.setattr(custom_cnn, "WIDTHS", WIDTHS)


@pytest.fixture
def cli() -> Callable[..., Result]:
    """Run a command line in this process."""

    def run(*words: str) -> Result:
        return CliRunner().invoke(make_app(words[0]), list(words))

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three classes with eight 48 x 40 JPEG files each, that a small model can tell apart."""
    return make_photos(tmp_path)


def make_photos(folder: Path) -> Path:
    """Make the images of `photos` in a folder."""
    root = folder / "photos"
    draw = np.random.default_rng(0)
    for n, color in enumerate(("red", "green", "blue")):
        for i in range(8):
            path = root / color / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixel = [40 + 3 * i] * 3
            pixel[n] = 250 - 5 * i
            # With a texture, so that no two crops are the same.
            texture = draw.integers(-30, 31, (40, 48, 1))
            Image.fromarray((np.array(pixel) + texture).clip(0, 255).astype(np.uint8)).save(path)
    return root
