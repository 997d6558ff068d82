"""A disk cache that is made while something goes wrong: nothing half-made is trusted, nothing stays behind."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from clfctl.runs.folder import RunFolder
from clfctl.storage import files
from tests.faults.processes import TINY, assert_same_bits, run, start
from tests.faults.test_disk import FailingDisk

Cli = Callable[..., Result]
needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="no fork there")

# 24 images take a second, and each is announced: there is time to do something in between.
SLOWLY = """
import sys, time
from clfctl.data.cache import images as cache
real = cache.to_stored
def to_stored(image, scaling):
    print("decoding", file=sys.stderr)
    time.sleep(0.1)
    return real(image, scaling)
cache.to_stored = to_stored
"""

# For who has to come while it is being made, however busy the machine is.
SLOWER = SLOWLY.replace("time.sleep(0.1)", "time.sleep(0.4)")


@pytest.fixture
def words(photos: Path) -> tuple[str, ...]:
    cache = ("--cache", "disk", "--cache-dir", "here")
    return ("train", "--data", str(photos), *TINY, "--epochs", "1", "--workers", "0", *cache)


def left() -> list[str]:
    """What kind of files there are, without the lock."""
    return sorted(path.suffix for path in Path("here").iterdir() if path.suffix != ".lock")


@pytest.mark.slow
@needs_fork
def test_what_a_killed_process_left_is_not_trusted_and_swept_up_by_the_next(words: tuple[str, ...]) -> None:
    killed = start(*words, "--run-name", "killed", prepare=SLOWLY)
    killed.wait_for("decoding\n" * 12)
    assert left() == [".tmp"]
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert left() == [".tmp"]
    assert run(*words, "--run-name", "one")[0] == 0
    assert left() == [".pixels"]
    assert run(*words, "--run-name", "other", "--cache-dir", "there")[0] == 0
    assert_same_bits(RunFolder(Path("runs/one")), RunFolder(Path("runs/other")))


@pytest.mark.slow
@needs_fork
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_it_at_once_and_leaves_nothing(number: int, code: int, words: tuple[str, ...]) -> None:
    stopped = start(*words, prepare=SLOWLY)
    stopped.wait_for("decoding\n" * 6)
    os.kill(stopped.pid, number)
    assert stopped.wait() == code
    assert "nothing was trained yet" in stopped.err.read_text()
    assert "Traceback" not in stopped.err.read_text()
    assert left() == []
    assert not Path("runs").exists()


@pytest.mark.slow
@needs_fork
def test_of_two_processes_at_once_one_makes_it_and_the_other_takes_it(words: tuple[str, ...]) -> None:
    first = start(*words, "--run-name", "one", prepare=SLOWER)
    first.wait_for("decoding")
    second = start(*words, "--run-name", "other")
    assert (first.wait(), second.wait()) == (0, 0)
    said = second.err.read_text()
    assert f"Cache  waiting for process {first.pid} since 20" in said
    assert "making" not in said
    assert "making" in first.err.read_text()
    assert left() == [".pixels"]
    assert_same_bits(RunFolder(Path("runs/one")), RunFolder(Path("runs/other")))


@pytest.mark.slow
@needs_fork
def test_who_waits_for_a_process_that_is_killed_makes_it(words: tuple[str, ...]) -> None:
    first = start(*words, "--run-name", "one", prepare=SLOWER)
    first.wait_for("decoding")
    second = start(*words, "--run-name", "other")
    second.wait_for("waiting for")
    os.kill(first.pid, signal.SIGKILL)
    assert second.wait() == 0
    assert "making" in second.err.read_text()
    assert left() == [".pixels"]


def test_whichever_call_fails_there_is_a_whole_cache_or_none(
    words: tuple[str, ...], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli(*words, "--dry-run").exit_code == 0
    for k in range(1, 40):
        disk = FailingDisk(k, errno.ENOSPC if k % 2 else errno.EIO, stays=bool(k % 2))
        monkeypatch.setattr(files, "os", disk)
        result = cli(*words, "--run-name", f"run-{k}")
        monkeypatch.setattr(files, "os", os)
        assert "Traceback" not in result.output
        if Path("runs").exists():  # the cache was made, and the run's files are what failed
            assert left() == [".pixels"]
            break
        assert result.exit_code == 1
        assert result.stderr.count("Error: cannot write here/") == 1
        # A file cannot be removed from a disk of which every call fails.
        assert left() in ([], [".tmp"], [".pixels"])
        for path in Path("here").glob("*.pixels*"):
            path.unlink()
    assert 4 < k < 39


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "bit"])
def test_a_damaged_cache_is_made_again(damage: str, words: tuple[str, ...], cli: Cli) -> None:
    assert cli(*words, "--run-name", "one").exit_code == 0
    (path,) = Path("here").glob("*.pixels")
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[-100] ^= 1
    path.write_bytes(content[:-1] if damage == "cut" else flipped)
    result = cli(*words, "--run-name", "other")
    assert result.exit_code == 0
    assert "Cache  making" in result.stderr
    assert path.read_bytes() == content
    assert_same_bits(RunFolder(Path("runs/one")), RunFolder(Path("runs/other")))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be replaced there")
def test_a_cache_that_is_replaced_while_a_run_uses_it_stays_what_it_was(
    words: tuple[str, ...], photos: Path, cli: Cli
) -> None:
    running = start(*words, "--run-name", "one", "--epochs", "500")
    running.wait_for('"epoch": 1')
    (photos / "red" / "0.jpg").write_bytes((photos / "blue" / "0.jpg").read_bytes())
    assert "Cache  removed" in cli(*words, "--run-name", "other").stderr
    seen = running.out.read_text().count("\n")
    running.wait_for(f'"epoch": {seen + 3},')
    os.kill(running.pid, signal.SIGTERM)
    assert running.wait() == 143


@pytest.mark.skipif(sys.platform == "win32", reason="/proc is no folder there")
def test_a_folder_for_caches_that_cannot_be_made_is_said(words: tuple[str, ...], cli: Cli) -> None:
    result = cli(*words, "--cache-dir", "/proc/nowhere")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: --cache-dir: /proc/nowhere cannot be made: ")
    assert len(result.stderr.splitlines()) == 2
    assert not Path("runs").exists()
