"""An evaluation that is stopped, killed or meets a full disk: the files of the one before it stay whole."""

import contextlib
import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from clfctl.errors import WriteError
from clfctl.storage import files, folders
from clfctl.storage.files import write_text
from clfctl.storage.folders import making_folder, replacing_folder
from tests.faults.processes import TINY, run, start
from tests.faults.test_disk import FAULTS, FailingDisk
from tests.faults.test_signals import CODES, SLOW

pytestmark = pytest.mark.slow

NAMES = ("a.json", "b.html")
STAGES = {
    "reading the checkpoint": "import clfctl.inference.trained as m; slowly(m, 'load_checkpoint', 'HERE')",
    "measuring": "import clfctl.data.loader as m; slowly(m.Loader, '_load', 'HERE')",
    "computing": "import clfctl.evaluation.metrics as m; slowly(m, 'compute_metrics', 'HERE')",
    "writing": "import clfctl.display.eval_files as m; slowly(m, 'confused_csv', 'HERE')",
    "flushing to the disk": "import clfctl.storage.folders as m; slowly(m, 'flush_folder', 'HERE')",
}
# Nothing is left to stop soon after the last stages: on a busy machine the signal came too late.
SLOWER = SLOW.replace("sleep(0.4)", "sleep(3)")
CASES = list(zip(STAGES, [*CODES, signal.SIGTERM], strict=True))


def content(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def put(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all that is written go to a disk, in the place of `os`."""
    for module in (files, folders):
        monkeypatch.setattr(module, "os", disk)


def fill(folder: Path, text: str) -> None:
    with replacing_folder(folder) as new:
        for name in NAMES:
            write_text(new / name, text)


@pytest.mark.parametrize("fault", FAULTS)
def test_whichever_call_fails_the_folder_is_the_old_one_or_the_new_one(
    fault: tuple[int, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, stays = fault
    counting = FailingDisk(0, 0, stays=False)
    folder = tmp_path / "eval/x"
    fill(folder, "old")
    put(counting, monkeypatch)
    fill(folder, "old")
    outcomes = set()
    for k in range(1, counting.n_calls + 1):
        put(FailingDisk(k, number, stays=stays), monkeypatch)
        with contextlib.suppress(WriteError, OSError):
            fill(folder, "new")
        put(os, monkeypatch)
        with replacing_folder(tmp_path / "eval/y"):
            pass
        # What a disk kept from being given its name back gets it when the folder is written again.
        if not folder.exists():
            shutil.move(folder.with_name("x.old"), folder)
        found = content(folder)
        assert found in (dict.fromkeys(NAMES, b"old"), dict.fromkeys(NAMES, b"new")), k
        outcomes.add(found["a.json"])
        fill(folder, "old")
        assert [each.name for each in sorted(folder.parent.iterdir())] == ["x", "y"]
    assert b"old" in outcomes
    assert counting.n_calls > 10


def test_a_name_that_was_not_given_back_is_given_back_later(tmp_path: Path) -> None:
    """A kill between the two renames."""
    folder = tmp_path / "eval/x"
    fill(folder, "old")
    folder.rename(folder.with_name("x.old"))
    folder.with_name("x.tmp").mkdir()
    with pytest.raises(ZeroDivisionError), replacing_folder(folder):
        raise ZeroDivisionError
    assert content(folder) == dict.fromkeys(NAMES, b"old")
    assert [each.name for each in folder.parent.iterdir()] == ["x"]


@pytest.mark.parametrize("has_files", [False, True])
def test_of_two_that_make_a_folder_of_one_name_one_does(has_files: bool, tmp_path: Path) -> None:
    folder = tmp_path / "runs/e"

    def make() -> None:
        with making_folder(folder) as new:
            write_text(new / "a.json", "ours")
            folder.mkdir()
            if has_files:
                write_text(folder / "b.json", "theirs")

    with pytest.raises(FileExistsError):
        make()
    assert [each.name for each in folder.iterdir()] == ["b.json"] * has_files
    assert [*folder.parent.iterdir()] == [folder]


def test_what_is_made_elsewhere_is_left_alone_and_what_was_left_for_a_day_removed(tmp_path: Path) -> None:
    names = {".clfctl-a-1.tmp": True, ".clfctl-a-2.tmp": False, ".theirs.tmp": True}
    runs = tmp_path / "runs"
    for name, is_old in names.items():
        (runs / name).mkdir(parents=True)
        if is_old:
            os.utime(runs / name, (0, 0))
    with making_folder(runs / "e") as new:
        write_text(new / "a.json", "ours")
    assert {each.name for each in runs.iterdir()} == {"e", ".clfctl-a-2.tmp", ".theirs.tmp"}
    assert content(runs / "e") == {"a.json": b"ours"}


@pytest.fixture
def evaluated(photos: Path, cli: Callable[..., Result]) -> dict[str, bytes]:
    """The files of runs/one/eval/val-best."""
    assert cli("train", "--data", str(photos), *TINY, "--epochs", "1", "--run-name", "one").exit_code == 0
    assert cli("eval", "runs/one").exit_code == 0
    return content(Path("runs/one/eval/val-best"))


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
def test_a_signal_leaves_the_evaluation_before_it_whole(evaluated: dict[str, bytes]) -> None:
    for stage, number in CASES:
        process = start("eval", "runs/one", prepare=f"{SLOWER}\n{STAGES[stage]}")
        process.wait_for("HERE")
        os.kill(process.pid, number)
        code, error = process.wait(), process.err.read_text()
        assert code == CODES[number], f"{stage}: {error}"
        assert "Traceback" not in error
        assert f"Stopped by {number.name}" in error
        assert content(Path("runs/one/eval/val-best")) == evaluated, stage
        assert [each.name for each in Path("runs/one/eval").iterdir()] == ["val-best"], stage


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
def test_after_a_kill_the_next_evaluation_is_whole(evaluated: dict[str, bytes]) -> None:
    process = start("eval", "runs/one", prepare=f"{SLOW}\n{STAGES['writing']}")
    process.wait_for("HERE")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert content(Path("runs/one/eval/val-best")) == evaluated
    assert len(list(Path("runs/one/eval").iterdir())) == 2
    assert run("eval", "runs/one")[0] == 0
    assert content(Path("runs/one/eval/val-best")) == evaluated
    assert [each.name for each in Path("runs/one/eval").iterdir()] == ["val-best"]


def test_a_full_disk_is_said_after_the_numbers_and_loses_nothing(
    evaluated: dict[str, bytes], cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(FailingDisk(20, errno.ENOSPC, stays=True), monkeypatch)
    result = cli("eval", "runs/one")
    put(os, monkeypatch)
    assert result.exit_code == 1
    assert "accuracy (top 1)" in result.stdout
    assert "No space left on device" in result.stderr
    assert "free some space" in result.stderr
    assert content(Path("runs/one/eval/val-best")) == evaluated
