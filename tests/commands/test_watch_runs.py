"""clfctl runs --watch: the time left, what fits a terminal, and a line for each change where nothing is drawn."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import Result

from clfctl.commands.watch_runs import changed_lines, ordered, ticks, view
from clfctl.runs.history import EpochResult
from clfctl.runs.state import RunState, mean_time

RUNNING = RunState(
    Path("runs/one"), "running", "", 4, 0, 10, 10, "val_loss", "val_top1", 0.9, 3, 1e-3, 1, 0.0, 1000.0,
    images_per_s=123.4, epoch_s=60.0,
)  # fmt: skip
FINISHED = replace(RUNNING, path=Path("runs/two"), state="finished", epoch=10)


@pytest.mark.parametrize(
    ("state", "now_s", "left_s"),
    [
        (RUNNING, 1000.0, 360.0),  # six epochs of a minute
        (RUNNING, 1020.0, 340.0),
        (RUNNING, 1300.0, 300.0),  # an epoch that takes longer is not over: five more follow
        (replace(RUNNING, batch=5), 1000.0, 330.0),
        (replace(RUNNING, epoch=10), 1000.0, 0.0),
        (replace(RUNNING, epoch_s=None), 1000.0, None),
        (FINISHED, 1000.0, None),
    ],
)
def test_time_left(state: RunState, now_s: float, left_s: float | None) -> None:
    assert state.left_s(now_s) == left_s


def test_the_latest_epochs_tell_how_long_one_takes() -> None:
    history = [EpochResult(n, 0.1, 0.1, {}, False, 1.0, time_s=float(n)) for n in range(1, 11)]
    assert mean_time(history) == 8.0
    assert mean_time(history[:1]) == 1.0


@pytest.mark.parametrize("width", [80, 119, 200])
def test_it_fits_its_terminal(width: int) -> None:
    states = [replace(FINISHED, path=Path("x" * 90)), *(replace(RUNNING, path=Path(f"run-{n}")) for n in range(50))]
    console = Console(width=width, height=24, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(view(ordered(states, tree=False), Path("runs"), 1000.0, console))
    console.file.close()
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= 24
    assert "run-0" in lines[2]  # those that are running come first
    assert "6:00 min" in lines[2]
    assert "123" in lines[2]
    assert "1 finished" in lines[-1] or width == 80
    assert "50 running" in lines[-1]


def test_an_empty_folder_is_watched_until_something_comes() -> None:
    console = Console(width=80, height=24, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(view([], Path("runs"), 1000.0, console))
    console.file.close()
    assert "There are no runs in runs" in console.export_text()


def test_where_nothing_is_drawn_a_change_is_a_line() -> None:
    later = replace(RUNNING, epoch=5)
    looks = [[RUNNING], [RUNNING], [RUNNING, FINISHED], [later, FINISHED]]
    records = [json.loads(line) for line in "".join(changed_lines(looks, as_json=True)).splitlines()]
    assert [(each["name"], each["epoch"]) for each in records] == [("one", 4), ("two", 10), ("one", 5)]
    assert records[0]["images_per_s"] == 123.4
    assert [*changed_lines(looks[:1], as_json=False)] == [
        "one  running  4 of 10 epochs  best val_top1 0.9000 in epoch 3  lr 0.001\n"
    ]


def test_a_second_passes_between_two_looks() -> None:
    slept = list[float]()
    looks = ticks(sleep=slept.append)
    for _ in range(3):
        next(looks)
    assert slept == [1.0, 1.0]


def test_what_is_no_folder_is_refused(cli: Callable[..., Result]) -> None:
    result = cli("runs", "gone", "--watch")
    assert result.exit_code == 2
    assert "gone is not a folder" in result.stderr
