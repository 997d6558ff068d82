"""A study whose processes are stopped, killed, or lose their machine: no trial is lost, and none is done twice."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.faults.processes import run, start
from tests.tuning.postgres import programs, server

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")]
STUDY: tuple[str, ...] = ("tune", "--data", "digits", "--val-split", "0.9", "--image-size", "8", "--epochs", "3")
STUDY += ("--model", "resnet9_small", "--max-per-class", "20", "--search", "lr=1e-4..1e-2:log", "--sampler", "random")
STUDY += ("--search", "batch-size=10,20", "--pruner", "none", "--json")
# Each epoch takes a moment, so that a signal meets it.
SLOWLY = """
import time, sys
import clfctl.engine.trainer as m
real = m.evaluate
def slowly(*values, **named):
    slowly.n += 1
    print(f"EPOCH {slowly.n}.", file=sys.stderr, flush=True)
    time.sleep(0.3)
    return real(*values, **named)
slowly.n = 0
m.evaluate = slowly
"""


def trials_of(out: str) -> list[dict[str, object]]:
    """Return the trials of a study as `--json` tells them, without what time does to them."""
    *trials, _ = map(json.loads, out.splitlines())
    left_out = ("seconds", "run", "retry_of", "trial")
    return [{name: value for name, value in each.items() if name not in left_out} for each in trials]


def finished(*words: str) -> list[dict[str, object]]:
    running = start(*words)
    assert running.wait(120) == 0, running.err.read_text()
    return trials_of(running.out.read_text())


@pytest.fixture(scope="module")
def known() -> dict[str, list[dict[str, object]]]:
    """The study that was never stopped, made when the first test asks."""
    return {}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_study_that_is_stopped_ends_as_one_that_was_not(
    number: signal.Signals, code: int, known: dict[str, list[dict[str, object]]]
) -> None:
    whole = known.get("whole") or finished(*STUDY, "--trials", "3", "--run-name", "whole")
    known["whole"] = whole
    running = start(*STUDY, "--trials", "3", "--run-name", "stopped", prepare=SLOWLY)
    running.wait_for("EPOCH 5.", 120)  # the second of the second trial
    os.kill(running.pid, number)
    assert running.wait() == code
    if number != signal.SIGKILL:
        assert "go on with: clfctl tune runs/stopped" in running.err.read_text()
    assert finished("tune", "runs/stopped", "--json") == whole


def test_processes_of_one_folder_share_its_trials() -> None:
    code, error = run(*STUDY, "--trials", "1", "--run-name", "s")
    assert code == 0, error
    both = [start("tune", "runs/s", "--trials", "5", "--json") for _ in range(2)]
    assert [each.wait(180) for each in both] == [0, 0], [each.err.read_text() for each in both]
    trials = finished("tune", "runs/s", "--json")
    assert [each["state"] for each in trials] == ["complete"] * 5
    assert all(f"Trial {number}: " in "".join(each.err.read_text() for each in both) for number in range(1, 5))


def test_a_trial_whose_machine_is_gone_is_tried_again() -> None:
    """Two processes with folders of their own, as on two machines, on one database; one of them is killed."""
    if not (bin_dir := programs()):
        pytest.skip("there is no PostgreSQL server here")
    with server(bin_dir) as address:
        words = (*STUDY, "--trials", "4", "--storage", address, "--run-name", "s", "--heartbeat", "1")
        one = start(*words, "--runs-dir", "one", prepare=SLOWLY)
        one.wait_for("EPOCH 1.")
        two = start(*words, "--runs-dir", "two")
        os.kill(one.pid, signal.SIGKILL)
        assert one.wait() == -9
        assert two.wait(180) == 0, two.err.read_text()
        trials = [json.loads(line) for line in two.out.read_text().splitlines()][:-1]
        assert [each["state"] for each in trials] == ["complete"] * 4
        again = [each for each in trials if each["retry_of"] is not None]
        assert len(again) == 1
        assert again[0]["retry_of"] == 0
        assert Path(str(again[0]["run"])).parts[0] == "two"
        assert len({json.dumps(each["settings"]) for each in trials}) == 4
