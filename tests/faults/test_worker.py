"""A loader thread that crashes: training stops with a clear error, and resumes exactly."""

import sys
from pathlib import Path

import pytest

from clfctl.runs.folder import RunFolder
from clfctl.runs.state import state_of
from tests.faults.processes import TINY, assert_same_bits, run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no fork there")]

# A plug-in of Pillow's for JPEG that crashes at its 40th image, as one with a bug would.
# Not in a decoder: what Pillow raises of its own is a bad image.
CRASH = """
import clfctl.data.loader as m
n, augmented = 0, m.to_augmented_pixels
def broken(*values):
    global n
    n += 1
    if n == 30:
        raise {error}
    return augmented(*values)
m.to_augmented_pixels = broken
"""


@pytest.mark.parametrize("workers", ["0", "1", "2"])
@pytest.mark.parametrize("error", ["RuntimeError('a step is broken')", "MemoryError()"])
def test_a_crash_in_a_worker_stops_with_an_error_and_resumes_exactly(error: str, workers: str, photos: Path) -> None:
    words = ("train", "--data", str(photos), *TINY, "--workers", workers, "--save-every-batches", "1")
    assert run(*words, "--run-name", "whole")[0] == 0
    code, said = run(*words, "--run-name", "one", prepare=CRASH.format(error=error))
    assert code == 1, said
    assert said.count("Error:") == 1
    assert "Traceback" not in said
    assert error.partition("(")[0] in said
    assert ".jpg failed" in said
    assert "clfctl resume" in said
    assert ("--workers" in said) == error.startswith("MemoryError")
    folder = RunFolder(Path("runs/one"))
    assert state_of(folder).state == "failed"
    assert ".jpg failed" in state_of(folder).why
    assert run("resume", "runs/one")[0] == 0
    assert_same_bits(RunFolder(Path("runs/whole")), folder)
