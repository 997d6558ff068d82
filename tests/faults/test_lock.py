"""Two processes on one run: the second is refused; a lock dies with its process, however that ends."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from clfctl.errors import RunLockedError
from clfctl.runs.folder import RunFolder
from clfctl.runs.state import state_of
from clfctl.storage.lock import Holder, holder_of, locked, locked_in_turn
from tests.faults.processes import TINY, run, start

Cli = Callable[..., Result]
needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="no fork there")


def words_for(photos: Path) -> tuple[str, ...]:
    return ("train", "--data", str(photos), *TINY, "--epochs", "500", "--run-name", "one")


@pytest.mark.slow
@needs_fork
def test_the_second_process_is_refused_and_told_who_holds_the_run(photos: Path, cli: Cli) -> None:
    first = start(*words_for(photos))
    first.wait_for('"epoch": 1')
    files = {path: path.read_bytes() for path in Path("runs/one").glob("*.*")}
    code, error = run("resume", "runs/one")
    assert code == 1
    assert len(error.splitlines()) == 2
    assert f"runs/one is being trained by process {first.pid} since 20" in error
    assert f"kill {first.pid}" in error
    assert files.keys() == {*Path("runs/one").glob("*.*")}
    (listed,) = map(json.loads, cli("runs", "--json").stdout.splitlines())
    assert (listed["state"], listed["pid"]) == ("running", first.pid)
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait() == 143
    assert state_of(RunFolder(Path("runs/one"))).why.startswith("Stopped by SIGTERM")


@pytest.mark.slow
@needs_fork
def test_after_kill_9_the_lock_is_free_and_the_state_is_interrupted(photos: Path) -> None:
    first = start(*words_for(photos))
    first.wait_for('"epoch": 1')
    folder = RunFolder(Path("runs/one"))
    assert state_of(folder).state == "running"
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert folder.lock.exists()
    state = state_of(folder)
    assert state.state == "interrupted"
    assert "killed" in state.why
    with locked(folder.lock):
        pass


@pytest.mark.slow
@needs_fork
def test_of_many_that_begin_at_once_one_trains(photos: Path) -> None:
    first = start(*words_for(photos))
    first.wait_for('"epoch": 1')
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait() == 143
    others = [start("resume", "runs/one") for _ in range(3)]
    end = time.monotonic() + 60
    while sum(each.process.is_alive() for each in others) > 1 and time.monotonic() < end:
        time.sleep(0.05)
    (one,) = (each for each in others if each.process.is_alive())
    refused = [each for each in others if each is not one]
    assert all(each.wait() == 1 for each in refused)
    assert all(f"is being trained by process {one.pid}" in each.err.read_text() for each in refused)
    os.kill(one.pid, signal.SIGTERM)
    assert one.wait() == 143


def test_a_lock_is_held_once_and_free_after(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder_of(path) is None
    with locked(path):
        holder = holder_of(path)
        assert holder is not None
        assert holder.pid == os.getpid()
        assert holder.is_here
        with pytest.raises(RunLockedError), locked(path):
            pass
        assert holder_of(path) == holder
    assert holder_of(path) is None
    assert path.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', "\0" * 50])
def test_what_stands_in_a_lock_file_is_for_people_only(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lock"
    path.write_text(content)
    with locked(path):
        path.write_text(content)
        with pytest.raises(RunLockedError, match="another process"), locked(path):
            pass


def test_who_waits_for_a_lock_gets_it_when_it_is_free_and_is_told_once_who_has_it(tmp_path: Path) -> None:
    path, got = tmp_path / "lock", threading.Event()
    told: list[Holder] = []

    def wait() -> None:
        with locked_in_turn(path, told.append):
            got.set()

    with locked(path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        while not told:
            time.sleep(0.01)
        assert not got.wait(0.3)
    waiting.join(10)
    assert got.is_set()
    assert [holder.pid for holder in told] == [os.getpid()]
    with locked_in_turn(path, told.append):
        assert len(told) == 1
