"""Disks that are full, read-only, gone, or fail at any call: one clear sentence, and the last save stays good."""

import ast
import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

import clfctl
from clfctl.engine.progress import Progress
from clfctl.engine.run_files import BadImagesFile
from clfctl.engine.watching import Training, Watchers
from clfctl.errors import Interrupted
from clfctl.planning.plan import make_plan
from clfctl.runs.folder import RunFolder
from clfctl.runs.state import state_of
from clfctl.settings.groups import TrainSettings
from clfctl.storage import files
from clfctl.storage.json_lines import append_json_line, read_json_lines
from tests.faults.processes import TINY, assert_same_bits, run, start

Cli = Callable[..., Result]
CALLS = ("open", "write", "fsync", "close", "link", "unlink", "replace")


class FailingDisk:
    """The `os` of clfctl.storage.files, whose call number `k` fails; on a disk that stays full, every later one too."""

    def __init__(self, k: int, number: int, *, stays: bool) -> None:
        self.k, self.number, self.stays, self.n_calls = k, number, stays, 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)

        def call(*values: Any) -> Any:
            self.n_calls += 1
            if self.n_calls == self.k or (self.stays and self.n_calls > self.k):
                if name == "write":  # what there is room for
                    real(values[0], values[1][: len(values[1]) // 2])
                if name == "close":
                    real(*values)
                raise OSError(self.number, os.strerror(self.number))
            return real(*values)

        return call if name in CALLS else real


@pytest.fixture
def words(photos: Path) -> tuple[str, ...]:
    """A training of half a second with all kinds of saves: the first, one inside an epoch, best and last."""
    epochs = ("--epochs", "1", "--save-every-batches", "3", "--workers", "0")
    return ("train", "--data", str(photos), *TINY, *epochs, "--run-name", "one")


# A disk that is full stays so; a broken block is one call's. Drawn for each call, so that each kind meets all of them.
FAULTS = ((errno.ENOSPC, True), (errno.EIO, False))


@pytest.mark.slow
def test_whichever_call_fails_the_resumed_run_ends_the_same(
    words: tuple[str, ...], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = FailingDisk(0, 0, stays=False)
    monkeypatch.setattr(files, "os", counting)
    assert cli(*words, "--runs-dir", "whole").exit_code == 0
    whole, folder, n_stopped = RunFolder(Path("whole/one")), RunFolder(Path("runs/one")), 0
    draw = random.Random(0)
    for k in range(1, counting.n_calls + 1):
        number, stays = draw.choice(FAULTS)
        monkeypatch.setattr(files, "os", FailingDisk(k, number, stays=stays))
        result = cli(*words)
        monkeypatch.setattr(files, "os", os)
        assert_is_said(result, os.strerror(number), k)
        n_stopped += result.exit_code
        assert state_of(folder).state != "running"
        assert folder.config.is_file() or not folder.path.exists(), f"call {k} left half a run"
        again = cli("resume", str(folder.path)) if folder.config.is_file() else cli(*words)
        assert again.exit_code == 0, f"call {k}: {again.output}"
        assert_same_bits(whole, folder)
        shutil.rmtree(folder.path)
    assert n_stopped > 50


def assert_is_said(result: Result, reason: str, k: int) -> None:
    """One sentence: an error where training stopped, a note where it had ended and only a plot is missing."""
    lines = [line for line in result.stderr.splitlines() if line.startswith(("Error", "The plots"))]
    assert len(lines) <= 1, f"call {k}: {result.stderr}"
    assert all(reason in line for line in lines), f"call {k}: {result.stderr}"
    is_error = bool(lines) and lines[0].startswith("Error")
    assert result.exit_code == int(is_error), f"call {k}: {result.output}"
    assert "Traceback" not in result.output


def test_every_write_of_the_package_is_one_of_those_that_were_let_fail() -> None:
    """Nothing but `storage`, the lock and a cache writes files; the program opens /dev/null."""
    package = Path(clfctl.__file__).parent
    allowed = {
        "data/pixels/image_file.py": ("open",),  # to read
        "data/sources/shards.py": ("open",),  # to read
        "storage/files.py": CALLS,
        "storage/folders.py": CALLS,
        "engine/memory.py": ("write_text",),  # to /proc, which resets a counter
        "storage/lock.py": ("open", "write", "ftruncate"),
        "models/timm_names.py": ("write_text", "replace"),
        "models/timm_table.py": ("write_text",),  # of the script that makes the table that is shipped
        "data/quarantine.py": ("truncate",),  # a list of moves cut back to what was moved
        "display/streams.py": ("open",),  # /dev/null
    }
    for path in package.rglob("*.py"):
        writes = set(_writes(ast.parse(path.read_text(encoding="utf-8"))))
        name = path.relative_to(package).as_posix()
        assert writes <= set(allowed.get(name, ())), f"{name} writes by itself: {writes}"


def _writes(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, owner = node.func.attr, node.func.value
        of_os = isinstance(owner, ast.Name) and owner.id == "os"
        modes = [
            each.value for each in (*node.args, *(k.value for k in node.keywords)) if isinstance(each, ast.Constant)
        ]
        if of_os and name in (*CALLS, "ftruncate", "rename", "truncate") and name != "close":
            yield name
        if name in ("write_text", "write_bytes", "save_file") or (name == "open" and {"w", "wb", "a", "ab"} & {*modes}):
            yield name


def test_a_list_of_bad_images_that_cannot_be_written_hides_no_end(tmp_path: Path) -> None:
    """Whatever ended the training is what is said, and its exit code is that of the signal."""
    run, told = RunFolder(tmp_path / "run"), list[str]()
    run.bad_images.mkdir(parents=True)
    plan = make_plan(TrainSettings(), None)
    watchers = Watchers([BadImagesFile(told.append)], told.append)
    watchers.start(Training(run, plan, (), Progress(), bad_images={"a.jpg": "it is cut short"}))
    watchers.end(Interrupted("Stopped.", "", 130))
    (line,) = told
    assert "bad_images.jsonl" in line


def test_half_a_line_at_the_end_of_the_history_is_no_line(words: tuple[str, ...], cli: Cli) -> None:
    assert cli(*words, "--save-every", "0").exit_code == 0
    folder = RunFolder(Path("runs/one"))
    whole = read_json_lines(folder.history)
    with folder.history.open("a", encoding="utf-8") as file:
        file.write('{"epoch": 3, "lr": 0.0')
    assert read_json_lines(folder.history) == whole
    assert state_of(folder).epoch == 1
    assert cli("resume", str(folder.path)).exit_code == 0


def on_a_disk_of_its_own(folder: Path, size: str) -> bool:
    """Mount an empty file system in the memory; False where that is not allowed."""
    folder.mkdir()
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
        )
    except OSError:
        return False
    return made.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB: for two saves, not for three."""
    if not on_a_disk_of_its_own(tmp_path / "disk", "3m"):
        pytest.skip("only root may mount a file system")
    yield tmp_path / "disk"
    subprocess.run(["umount", tmp_path / "disk"], check=True)


@pytest.mark.slow
def test_a_full_disk_stops_training_and_more_room_lets_it_go_on(
    words: tuple[str, ...], cli: Cli, small_disk: Path
) -> None:
    assert cli(*words).exit_code == 0
    filler = small_disk / "filler"
    filler.write_bytes(bytes(800_000))
    result = cli(*words, "--runs-dir", str(small_disk))
    folder = RunFolder(small_disk / "one")
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert "free some space" in result.stderr
    assert f"clfctl resume {folder.path}" in result.stderr
    assert result.stderr.count("Error") == 1
    assert state_of(folder).can_resume
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=30m", small_disk], check=True)
    assert cli("resume", str(folder.path)).exit_code == 0
    assert_same_bits(RunFolder(Path("runs/one")), folder)


def test_a_read_only_folder_is_said_before_anything_is_trained(
    words: tuple[str, ...], cli: Cli, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    is_mounted = on_a_disk_of_its_own(disk, "30m")
    try:
        assert cli(*words, "--runs-dir", str(disk)).exit_code == 0
        folder = RunFolder(disk / "one")
        _make_read_only(disk, is_mounted)
        for command in (("resume", str(folder.path)), (*words, "--runs-dir", str(disk), "--run-name", "two")):
            result = cli(*command)
            assert result.exit_code == 1, result.output
            assert "Read-only file system" in result.stderr or "Permission denied" in result.stderr
            assert len(result.stderr.splitlines()) == 2
        assert cli("runs", str(disk)).stdout.startswith("one  finished")
        assert cli("eval", str(folder.path)).exit_code == 0
    finally:
        if is_mounted:
            subprocess.run(["umount", disk], check=True)
        else:
            for path in (disk, *disk.rglob("*")):
                path.chmod(0o700)


def _make_read_only(disk: Path, is_mounted: bool) -> None:
    if is_mounted:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        return
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere, and no file system could be mounted")
    for path in (*disk.rglob("*"), disk):
        path.chmod(0o500 if path.is_dir() else 0o400)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no fork there, and open files cannot be removed")
def test_a_folder_that_disappears_stops_training_and_is_not_made_again(words: tuple[str, ...]) -> None:
    process = start(*words, "--epochs", "500")
    process.wait_for('"epoch": 2')
    shutil.rmtree("runs")
    assert process.wait() == 1
    error = process.err.read_text()
    assert "No such file or directory" in error
    assert "the folder was moved or removed" in error
    assert "Traceback" not in error
    assert not Path("runs").exists()


def test_what_is_appended_is_a_line_each(tmp_path: Path) -> None:
    for n in range(3):
        append_json_line(tmp_path / "x.jsonl", {"n": n})
    assert (tmp_path / "x.jsonl").read_text() == '{"n": 0}\n{"n": 1}\n{"n": 2}\n'


@pytest.mark.slow
def test_a_place_where_no_folder_can_be_made_is_said(words: tuple[str, ...]) -> None:
    code, error = run(*words, "--runs-dir", "/proc/runs")
    assert code == 1
    assert "cannot make a run folder in /proc/runs" in error
