"""Signals at every stage of a process: it ends in time with the promised code, and resumes with the same bits."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clfctl.runs.folder import RunFolder
from clfctl.runs.state import state_of
from tests.faults.processes import TINY, Running, assert_same_bits, run, start

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 0, signal.SIGHUP: 129}

# Each makes a stage last, and says when it is reached: there is no other way to be in it when the signal comes.
SLOW = """
import sys, time
def slowly(owner, name, text):
    real = getattr(owner, name)
    def call(*values, **named):
        print(text, file=sys.stderr, flush=True)
        time.sleep(0.4)
        return real(*values, **named)
    setattr(owner, name, call)
"""
STAGES = {
    "opening the data": "import clfctl.engine.check as m; slowly(m, 'open_data', 'HERE')",
    "building the model": "import clfctl.engine.assemble as m; slowly(m, 'build_model', 'HERE')",
    "writing the run folder": "import clfctl.engine.first_files as m; slowly(m, 'write_text', 'HERE')",
    "loading the first batch": "import clfctl.data.loader as m; slowly(m.Loader, '_load', 'HERE')",
    "training": "import clfctl.engine.step as m; slowly(m, 'train_step', 'HERE')",
    "validation": "import clfctl.engine.trainer as m; slowly(m, 'evaluate', 'HERE')",
    "saving": "import clfctl.engine.saving as m; slowly(m, 'save_checkpoint', 'HERE')",
    "flushing to the disk": "import clfctl.storage.files as m; slowly(m, 'flush_folder', 'HERE')",
    "drawing the plots": "import clfctl.display.plots as m; slowly(m, 'save_plots', 'HERE')",
}
# Every stage with one of the signals, in turn, and training with each.
CASES = sorted({*zip(STAGES, itertools.cycle(CODES), strict=False), *(("training", number) for number in CODES)})


def words_for(photos: Path, name: str) -> tuple[str, ...]:
    return ("train", "--data", str(photos), *TINY, "--epochs", "2", "--run-name", name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Where the run that was never stopped is kept, made when the first test asks."""
    return RunFolder(tmp_path_factory.mktemp("whole") / "run")


def unbroken(photos: Path, kept: RunFolder) -> RunFolder:
    if not kept.path.exists():
        code, error = run(*words_for(photos, "whole"))
        assert code == 0, error
        shutil.copytree("runs/whole", kept.path)
    return kept


@pytest.mark.parametrize(("stage", "number"), CASES)
def test_at_every_stage_it_ends_in_time_and_goes_on_exactly(
    stage: str, number: signal.Signals, photos: Path, whole: RunFolder
) -> None:
    process = start(*words_for(photos, "one"), prepare=f"{SLOW}\n{STAGES[stage]}")
    process.wait_for("HERE")
    began = time.monotonic()
    os.kill(process.pid, number)
    code, took_s, error = process.wait(), time.monotonic() - began, process.err.read_text()
    assert code == CODES[number], error
    assert took_s < 5
    assert "Traceback" not in error
    assert f"Stopped by {number.name}" in error
    folder = RunFolder(Path("runs/one"))
    if folder.config.is_file():
        assert "clfctl resume runs/one" in error
        assert state_of(folder).state in ("interrupted", "finished")
        assert run("resume", "runs/one")[0] == 0
    else:
        assert not folder.path.exists()
        assert "nothing was trained yet" in error
        assert run(*words_for(photos, "one"))[0] == 0
    assert state_of(folder).state == "finished"
    assert_same_bits(unbroken(photos, whole), folder)


HANG = f"""{SLOW}
import clfctl.data.loader as m
def hang(*_, **__):
    print("HERE", file=sys.stderr, flush=True)
    time.sleep(99)
m.Loader._load = hang
"""


@pytest.mark.parametrize("module", ["clfctl.cli.app", "clfctl.commands.explain"])
def test_ctrl_c_while_the_program_starts_is_no_traceback(module: str) -> None:
    """Importing takes a moment, in which nothing has been begun that could be said to be stopped."""
    code = f"""
import runpy, sys
class Impatient:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Impatient())
sys.argv = ["clfctl", "explain", "nowhere", "x.png"]
runpy.run_module("clfctl", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_second_ctrl_c_does_not_wait_for_a_read_that_hangs(workers: str, photos: Path) -> None:
    process = start(*words_for(photos, "one"), "--workers", workers, prepare=HANG)
    process.wait_for("HERE")
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.2)
    assert process.process.is_alive()  # the first one waits for the batch
    os.kill(process.pid, signal.SIGINT)
    began = time.monotonic()
    assert process.wait() == 130
    assert time.monotonic() - began < 3
    assert "Traceback" not in process.err.read_text()
    assert "at once by Ctrl-C" in state_of(RunFolder(Path("runs/one"))).why
    assert run("resume", "runs/one")[0] == 0


def stop_in_the_middle(process: Running) -> None:
    process.wait_for("HERE")
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait() == 143, process.err.read_text()


def test_a_run_stopped_in_its_validation_says_so_when_it_goes_on(photos: Path) -> None:
    stage = "import clfctl.engine.trainer as m; slowly(m, 'evaluate', 'HERE')"
    stop_in_the_middle(start(*words_for(photos, "one"), prepare=f"{SLOW}\n{stage}"))
    code, error = run("resume", "runs/one")
    assert code == 0
    assert "from epoch 1, its validation" in error


def test_a_resume_stopped_before_it_trains_leaves_the_run_as_it_was(photos: Path, whole: RunFolder) -> None:
    stop_in_the_middle(start(*words_for(photos, "one"), prepare=f"{SLOW}\n{STAGES['training']}"))
    folder = RunFolder(Path("runs/one"))
    before = folder.last.read_bytes()
    process = start(
        "resume", "runs/one", prepare=f"{SLOW}\nimport clfctl.data.sources.open as m; slowly(m, 'open_data', 'HERE')"
    )
    stop_in_the_middle(process)
    assert "clfctl resume runs/one" in process.err.read_text()
    assert folder.last.read_bytes() == before
    assert run("resume", "runs/one")[0] == 0
    assert_same_bits(unbroken(photos, whole), folder)


def test_nohup_keeps_a_hangup_from_stopping(photos: Path) -> None:
    prepare = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    process = start(*words_for(photos, "kept"), prepare=prepare)
    process.wait_for('"epoch": 1')
    os.kill(process.pid, signal.SIGHUP)
    assert process.wait() == 0
    assert state_of(RunFolder(Path("runs/kept"))).state == "finished"
