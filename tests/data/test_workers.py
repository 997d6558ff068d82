"""`--workers auto`: from the cores, and from how much of an image's time is computing."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from clfctl.data.workers import (
    MEASURED_IMAGES,
    MOST,
    PYTHON_S,
    climb,
    images_per_s,
    n_cores,
    pick_workers,
    workers_for,
)
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


@pytest.mark.parametrize(
    ("rates", "most", "n"),
    [
        ({1: 7770, 2: 3200}, 7, 1),  # as 32 pixels from memory on 16 cores
        ({1: 100, 2: 190, 4: 350, 7: 360}, 7, 4),
        ({1: 100, 2: 200, 4: 400, 7: 700}, 7, 7),
        ({1: 100}, 1, 1),
    ],
)
def test_threads_that_are_hardly_faster_are_not_taken(rates: dict[int, float], most: int, n: int) -> None:
    assert climb(rates.__getitem__, most) == n


def test_a_try_reads_in_as_many_threads_as_are_tried() -> None:
    begun, seen = list[int](), set[int]()

    def read(index: int) -> None:
        seen.add(index)
        time.sleep(1e-3)

    assert images_per_s(read, range(3), 2, lambda: begun.append(1)) > 0
    assert len(begun) == 2
    assert seen == {0, 1, 2}


def test_processes_on_a_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": 0, "WORLD_SIZE": 8, "LOCAL_WORLD_SIZE": 4, "MASTER_ADDR": "here"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("clfctl.data.workers.n_cores", lambda: 16)
    assert pick_workers(lambda index: time.sleep(0), []) == 4


@pytest.mark.slow
def test_training_says_what_it_chose_and_keeps_auto(photos: Path, cli: Cli) -> None:
    (photos / "red" / "bad.jpg").write_bytes(b"no picture")
    result = cli("train", "--data", str(photos), *SMALL, "--epochs", "1", "--workers", "auto", "--run-name", "one")
    assert result.exit_code == 0, result.output
    assert "Loader " in result.stderr
    assert 'workers = "auto"' in Path("runs/one/config.toml").read_text()
    fixed = cli("train", "--data", str(photos), *SMALL, "--epochs", "1", "--workers", "1", "--run-name", "two")
    assert "Loader " not in fixed.stderr
