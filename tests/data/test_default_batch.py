"""Fewer training images than the default batch size: it fits itself, and only a stated one is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from clfctl.settings.sources import read_config

FAST = ("--image-size", "32", "--workers", "0")
SAID = "Batch size 14: fewer training images than the default of 32"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Two classes of nine images, of which two each are for validation."""
    draw = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "few" / name).mkdir(parents=True)
        for i in range(9):
            pixels = draw.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "few" / name / f"{i}.png")
    return tmp_path / "few"


def test_a_default_fits_itself_and_says_that(few: Path, cli: Callable[..., Result]) -> None:
    result = cli("train", "--data", str(few), *FAST, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert SAID in result.stdout
    assert cli("train", "--data", str(few), *FAST, "--show-batch", "b.png").exit_code == 0


def test_the_run_keeps_what_it_was_trained_with(few: Path, cli: Callable[..., Result]) -> None:
    result = cli("train", "--data", str(few), *FAST, "--epochs", "1", "--no-export", "--run-name", "x")
    assert result.exit_code == 0, result.stderr
    assert SAID in result.stderr
    assert read_config(Path("runs/x/config.toml")).values["batch_size"] == 14
    resumed = cli("resume", "runs/x", "--epochs", "2")
    assert resumed.exit_code == 0, resumed.stderr
    assert "Batch size" not in resumed.stderr


def test_enough_images_are_not_worth_a_line(few: Path, cli: Callable[..., Result]) -> None:
    result = cli("train", "--data", str(few), *FAST, "--dry-run", "--batch-size", "14")
    assert "Batch size" not in result.stdout
    assert result.exit_code == 0


STATED: list[tuple[tuple[str, ...], str, str]] = [
    (("--batch-size", "32"), "", ""),
    (("-b", "32"), "", ""),
    ((), "batch_size = 32", ""),
    ((), "", "CLFCTL_BATCH_SIZE=32"),
]


@pytest.mark.parametrize(("words", "toml", "env"), STATED)
def test_a_stated_one_is_refused(
    words: tuple[str, ...], toml: str, env: str, few: Path, cli: Callable[..., Result]
) -> None:
    Path("clfctl.toml").write_text(toml)
    Path(".env").write_text(env)
    result = cli("train", "--data", str(few), *FAST, *words)
    assert "--batch-size: 32 is more than the 14 training images" in result.stderr
    assert result.exit_code == 2
