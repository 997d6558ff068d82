"""clfctl runs, and resume without a run: states by facts, tables that fit, broken folders that are only named."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import Result

from clfctl.display.runs_table import format_age, print_runs
from clfctl.runs.folder import RunFolder
from clfctl.runs.state import RunState, state_of, states_in
from clfctl.storage.json_lines import read_json_lines
from tests.faults.processes import TINY, run, start

Cli = Callable[..., Result]
needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="no fork there")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with runs of every kind, made by the program itself where it makes them."""
    folder = tmp_path_factory.mktemp("made")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def fill(photos: Path) -> None:
    """Make a finished, a stopped, a killed and a failed run, and three broken folders; once."""
    if Path("runs").exists():
        return
    words = ("train", "--data", str(photos), *TINY)
    assert run(*words, "--run-name", "finished")[0] == 0
    for name, number in (("stopped", signal.SIGTERM), ("killed", signal.SIGKILL)):
        process = start(*words, "--epochs", "500", "--run-name", name, "--save-every", "2")
        process.wait_for('"epoch": 3')
        os.kill(process.pid, number)
        process.wait()
    assert run(*words, "--epochs", "500", "--lr", "1e30", "--optimizer", "sgd", "--run-name", "failed")[0] == 1
    for name in ("no-config", "no-checkpoint", "damaged"):
        shutil.copytree("runs/stopped", f"runs/{name}")
    RunFolder(Path("runs/no-config")).config.unlink()
    shutil.rmtree("runs/no-checkpoint/checkpoints")
    damaged = RunFolder(Path("runs/damaged"))
    damaged.last.write_bytes(b"")
    damaged.last.with_name("last.previous.safetensors").write_bytes(b"\x10")
    Path("runs/notes.txt").touch()
    Path("runs/something").mkdir()


@pytest.fixture
def runs(made: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    fill(photos)
    return Path("runs")


@pytest.mark.slow
@needs_fork
def test_states_are_those_of_the_facts(runs: Path, cli: Cli) -> None:
    result = cli("runs", "--json")
    assert result.exit_code == 0
    listed = {each["name"]: each for each in map(json.loads, result.stdout.splitlines())}
    assert {name: each["state"] for name, each in listed.items()} == {
        "finished": "finished",
        "stopped": "interrupted",
        "killed": "interrupted",
        "failed": "failed",
        "no-config": "broken",
        "no-checkpoint": "broken",
        "damaged": "broken",
    }
    history = read_json_lines(RunFolder(runs / "finished").history)
    best = max(history, key=lambda record: (record["val_top1"], -record["val_loss"]))
    finished = listed["finished"]
    assert (finished["epoch"], finished["epochs"], finished["batch"], finished["why"]) == (3, 3, 0, "")
    assert (finished["monitor"], finished["best"], finished["best_epoch"]) == (
        "val_loss",
        best["val_top1"],
        best["epoch"],
    )
    assert finished["lr"] == history[-1]["lr"]
    assert listed["stopped"]["why"].startswith("Stopped by SIGTERM")
    # Saved every second epoch: this is where it would go on.
    assert (listed["killed"]["epoch"], listed["killed"]["batch"]) == (2, 0) or listed["killed"]["epoch"] > 2
    assert listed["killed"]["epoch"] % 2 == 0
    assert "loss is no longer finite" in listed["failed"]["why"]
    assert "config.toml" in listed["no-config"]["why"]
    assert "No such file" in listed["no-checkpoint"]["why"]
    assert "it is empty" in listed["damaged"]["why"]
    assert set(listed["damaged"]) == set(finished)


@pytest.mark.slow
@needs_fork
def test_to_a_file_it_is_a_plain_line_a_run(runs: Path, cli: Cli) -> None:
    lines = cli("runs", str(runs)).stdout.splitlines()
    assert len(lines) == 7
    line = next(line for line in lines if line.startswith("finished"))
    assert re.fullmatch(r"finished  finished  3 of 3 epochs  best val_top1 \d+\.\d{4} in epoch [123]  lr 0\.01", line)
    assert cli("runs", str(runs / "finished")).stdout.splitlines() == [line]


@needs_fork
@pytest.mark.parametrize("columns", [80, 119, 200])
def test_the_table_fits_its_terminal(columns: int, runs: Path) -> None:
    console = Console(width=columns, record=True, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123
    print_runs(states_in(runs), console)
    console.file.close()
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= columns
    for word in ("finished", "interrupted", "failed", "broken", "3/3", "val_top1", "0.01", "no-checkpoint"):
        assert word in text
    assert "loss is no longer finite" in " ".join(text.split())
    assert ("killed, or the machine stopped" in text) is (columns == 200)


def test_a_table_of_long_names_and_large_numbers_fits_80_columns() -> None:
    state = replace(
        RunState(Path("x" * 90), "interrupted", "y" * 200, 99999, 7, 9, 100000, "val_loss", "train_loss", 123.4567),
        lr=1.234e-05,
        started_s=0.0,
    )
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    print_runs([state], console)
    console.file.close()
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "99999.7/100000" in text
    assert "train_loss 123.4567" in text


@pytest.mark.parametrize(
    ("age_s", "text"),
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (86400 * 12.5, "12 d")],
)
def test_ages(age_s: float, text: str) -> None:
    assert format_age(age_s) == text


def test_nothing_to_list_is_no_failure_and_no_folder_is_one(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = cli("runs", str(tmp_path / "empty"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no runs in" in result.stderr
    assert cli("runs", "gone").exit_code == 2
    assert "gone is not a folder" in cli("runs", "gone").stderr


def test_the_folder_of_runs_is_a_setting(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFCTL_RUNS_DIR", "elsewhere")
    assert "elsewhere is not a folder" in cli("runs").stderr
    assert "no run in elsewhere is unfinished" in cli("resume").stderr


@needs_fork
def test_resume_alone_names_the_newest_unfinished_run_where_nobody_can_be_asked(runs: Path, cli: Cli) -> None:
    newest = max((each for each in states_in(runs) if each.can_resume), key=lambda each: each.changed_s or 0)
    assert newest.path.name == "failed"
    result = cli("resume")
    assert result.exit_code == 2
    assert "the newest unfinished run is runs/failed: failed after" in result.stderr
    assert "loss is no longer finite" in result.stderr
    assert "clfctl resume runs/failed" in result.stderr


def answer(letter: str) -> tuple[int, str]:
    """Run `clfctl resume` on a terminal, and answer its question; return exit code and screen."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "clfctl", "resume", "--quiet"], stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    screen = b""
    while b"[Y/n]" not in screen:
        screen += os.read(controller, 1000)
    os.write(controller, f"{letter}\n".encode())
    while True:
        try:
            screen += os.read(controller, 1000)
        except OSError:  # Linux's way to say that the other end is closed
            break
    os.close(controller)
    return process.wait(60), screen.decode()


@needs_fork
def test_resume_alone_asks_on_a_terminal(runs: Path) -> None:
    shutil.rmtree("runs/failed")
    shutil.rmtree("runs/killed")
    before = RunFolder(runs / "stopped").last.stat().st_mtime_ns
    code, screen = answer("n")
    assert code == 0
    assert "runs/stopped: interrupted after" in screen
    assert "Stopped by SIGTERM" in screen
    assert RunFolder(runs / "stopped").last.stat().st_mtime_ns == before


@pytest.mark.slow
@needs_fork
def test_resume_alone_goes_on_when_it_is_told_to(photos: Path) -> None:
    process = start("train", "--data", str(photos), *TINY, "--epochs", "12", "--run-name", "one")
    process.wait_for('"epoch": 2')
    os.kill(process.pid, signal.SIGINT)
    assert process.wait() == 130
    assert state_of(RunFolder(Path("runs/one"))).state == "interrupted"
    time.sleep(0.01)
    code, screen = answer("")
    assert code == 0, screen
    assert state_of(RunFolder(Path("runs/one"))).state == "finished"
