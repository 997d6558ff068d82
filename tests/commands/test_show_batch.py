"""clfctl train --show-batch: the pixels of the first batch, with their classes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from clfctl.display.batch_grid import GAP, LABEL_HEIGHT, save_grid
from tests.conftest import SMALL

Cli = Callable[..., Result]


def test_grid_holds_the_pixels_enlarged_and_the_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 32, 40, 3), np.uint8)
    save_grid(tmp_path / "a.png", images, ["cat", "a name that is much too long for it", "", "é", "dog"])
    save_grid(tmp_path / "b.png", images, [""] * len(images), "what is above all of them")
    with Image.open(tmp_path / "a.png") as plain, Image.open(tmp_path / "b.png") as titled:
        assert (titled.width, titled.height) == (plain.width, plain.height + LABEL_HEIGHT)
        assert np.asarray(titled)[:LABEL_HEIGHT].min() < 128
    with Image.open(tmp_path / "a.png") as picture:
        grid = np.asarray(picture.convert("RGB"))
    scale = 3  # 40 pixels become at least 96
    width, height = 40 * scale, 32 * scale
    for n, image in enumerate(images):
        row, column = divmod(n, 3)
        top, left = GAP + row * (height + LABEL_HEIGHT + GAP), GAP + column * (width + GAP)
        assert np.array_equal(grid[top : top + height : scale, left : left + width : scale], image)
        label = grid[top + height : top + height + LABEL_HEIGHT, left : left + width]
        assert (label < 128).any() == (n != 2)
    # The long name ends before the next image begins.
    gap = grid[GAP + height : GAP + height + LABEL_HEIGHT, GAP + 2 * width + GAP : GAP + 2 * width + 2 * GAP]
    assert (gap == 255).all()


def test_first_batch_is_shown_and_nothing_is_trained(photos: Path, cli: Cli) -> None:
    result = cli("train", "--data", str(photos), *SMALL, "--show-batch", "batch.png")
    assert result.exit_code == 0, result.output
    assert "Wrote batch.png: 6 images of 32 × 32 pixels" in result.stderr
    assert not Path("runs").exists()
    again = cli("train", "--data", str(photos), *SMALL, "--show-batch", "again.png")
    assert again.exit_code == 0
    assert Path("batch.png").read_bytes() == Path("again.png").read_bytes()
    other = cli("train", "--data", str(photos), *SMALL, "--seed", "1", "--show-batch", "other.png")
    assert other.exit_code == 0
    assert Path("batch.png").read_bytes() != Path("other.png").read_bytes()


@pytest.mark.parametrize(("name", "code", "message"), [
    ("batch.txt", 2, "--show-batch: cannot tell the format from batch.txt"),
    ("gone/batch.png", 1, "cannot write gone/batch.png: No such file or directory"),
])  # fmt: skip
def test_a_wrong_file_is_said(name: str, code: int, message: str, photos: Path, cli: Cli) -> None:
    result = cli("train", "--data", str(photos), *SMALL, "--show-batch", name)
    assert result.exit_code == code, result.output
    assert message in result.stderr
