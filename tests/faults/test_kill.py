"""A process that is killed at any moment, twenty times: the run ends with the bits of one that never was."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from clfctl.runs.folder import RunFolder
from clfctl.runs.state import state_of
from tests.faults.processes import TINY, assert_same_bits, run, start

N_KILLS = 20
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no fork there")]


def test_twenty_kills_at_random_moments_change_no_bit(photos: Path) -> None:
    # Six epochs, so that most moments are in training and in saves, not in the plots at the end.
    words = ("train", "--data", str(photos), *TINY, "--save-every-batches", "1", "--epochs", "6")
    run("--version")  # the first one waits for torch's import
    began = time.monotonic()
    assert run(*words, "--run-name", "whole")[0] == 0
    whole_s = time.monotonic() - began
    draw, n_kills, n_runs, moments = random.Random(0), 0, 0, []
    while n_kills < N_KILLS or n_runs == 0:
        name = f"broken-{n_runs}"
        folder = RunFolder(Path("runs", name))
        command = ("resume", str(folder.path)) if folder.config.is_file() else (*words, "--run-name", f"{name}")
        if not folder.config.is_file() and folder.path.exists():  # killed while it was being made
            folder.path.rename(f"{folder.path}-unmade-{n_kills}")
        process = start(*command)
        if n_kills < N_KILLS:
            process.process.join(draw.uniform(0, whole_s))
        else:
            process.wait()
        if process.process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            n_kills += 1
            moments.append(where_it_died(folder))
            continue
        assert process.wait() == 0, process.err.read_text()
        assert state_of(folder).state == "finished"
        assert_same_bits(RunFolder(Path("runs/whole")), folder)
        n_runs += 1
    print(f"{n_runs} runs, killed at: {', '.join(moments)}")
    assert len(set(moments)) > 3


def where_it_died(folder: RunFolder) -> str:
    if not folder.config.is_file():
        return "before"
    state = state_of(folder)
    assert state.state in ("interrupted", "finished")
    return f"{state.epoch}+{state.batch}"
