"""`--workers auto`: from the cores, and from how much of an image's time is computing."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from clfctl.data.workers import MEASURED_IMAGES, MOST, PYTHON_S, n_cores, pick_workers, workers_for
from tests.conftest import SMALL

Cli = Callable[..., Result]


@given(st.integers(1, 256), st.floats(1e-6, 10), st.floats(0, 1))
def test_it_is_a_number_that_makes_sense(cores: int, image_s: float, share: float) -> None:
    n = workers_for(cores, image_s, image_s * share)
    assert 1 <= n <= MOST
    assert n == 1 or n * PYTHON_S <= image_s
    # An image that waits more is worth as many threads, or more.
    assert n <= workers_for(cores, image_s, image_s * share / 2) or share == 0


def test_one_for_each_core_where_nothing_waits() -> None:
    assert workers_for(8, 2e-3, 2e-3) == 8
    assert workers_for(8, 2e-3, 1e-3) == 16
    assert workers_for(8, 2e-3, 0.0) == 8  # a clock too coarse to tell
    assert workers_for(64, 8e-4, 8e-4) == 8  # more would wait for each other in Python
    assert workers_for(8, 3e-5, 3e-5) == 1
    assert workers_for(4, 1.0, 1e-3) == MOST


def test_a_slow_disk_gets_more_threads_than_cores() -> None:
    assert pick_workers(lambda index: time.sleep(0.005), range(1000)) > n_cores()


def test_a_few_images_are_read_spread_over_all() -> None:
    seen: list[int] = []
    pick_workers(seen.append, range(100, 1100))
    assert len(seen) == MEASURED_IMAGES
    assert seen[0] == 100
    assert seen[-1] > 1000
    assert pick_workers(seen.append, []) == n_cores()


@pytest.mark.slow
def test_training_says_what_it_chose_and_keeps_auto(photos: Path, cli: Cli) -> None:
    (photos / "red" / "bad.jpg").write_bytes(b"no picture")
    result = cli("train", "--data", str(photos), *SMALL, "--epochs", "1", "--workers", "auto", "--run-name", "one")
    assert result.exit_code == 0, result.output
    assert "Loader " in result.stderr
    assert 'workers = "auto"' in Path("runs/one/config.toml").read_text()
    fixed = cli("train", "--data", str(photos), *SMALL, "--epochs", "1", "--workers", "1", "--run-name", "two")
    assert "Loader " not in fixed.stderr
