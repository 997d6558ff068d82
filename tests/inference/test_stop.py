"""Predictions that are stopped, or whose disk fails: what was written is whole, and one sentence says what happened."""

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from clfctl.runs.folder import RunFolder
from clfctl.storage import files
from tests.faults.test_disk import FailingDisk
from tests.inference.conftest import N_IMAGES

Cli = Callable[..., Result]
# As if it had to read from a slow server: there is no other way to be in the middle of it when the signal comes.
SLOW = """
import sys, time
from clfctl.inference import stream
read = stream.read_pixels
def slowly(*values):
    time.sleep(0.1)
    return read(*values)
stream.read_pixels = slowly
from clfctl.__main__ import main
sys.argv = ["clfctl", *sys.argv[1:]]
main()
"""


def start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SLOW, "predict", *words, "--batch-size", "1", "--workers", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize(
    ("style", "number", "code"), [("json", signal.SIGINT, 130), ("csv", signal.SIGTERM, 143)], ids=["json", "csv"]
)
def test_stopped_what_was_printed_is_whole(
    style: str, number: signal.Signals, code: int, run: RunFolder, digits: Path
) -> None:
    process = start(str(run.path), *[str(digits)] * 9, "--format", style)
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(3)]
    process.send_signal(number)
    assert process.stderr is not None
    # Not communicate: it would pass by what readline has read ahead.
    whole, err = "".join(first) + process.stdout.read(), process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    assert process.wait(30) == code, err
    assert "Traceback" not in err
    found = re.search(rf"Stopped by {number.name} after (\d+) images", err)
    assert found is not None
    rows = json.loads(whole) if style == "json" else list(csv.DictReader(whole.splitlines()))
    assert 2 <= len(rows) == int(found[1]) < 9 * N_IMAGES
    assert all(row["image"].endswith(".png") and row["class"] for row in rows)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
def test_stopped_the_file_has_what_was_answered(run: RunFolder, digits: Path) -> None:
    out = Path("out.jsonl")
    process = start(str(run.path), *[str(digits)] * 9, "--output", str(out))
    end = time.monotonic() + 30
    while not list(Path().glob("out.jsonl.*")):
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    found = re.search(r"Stopped by SIGINT after (\d+) images", err)
    assert found is not None
    assert "out.jsonl has them" in err
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == int(found[1])
    assert [path.name for path in Path().glob("out.*")] == ["out.jsonl"]


@pytest.mark.parametrize("stays", [True, False], ids=["full", "broken"])
def test_whichever_call_fails_no_half_file_is_left(
    stays: bool, run: RunFolder, digits: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = errno.ENOSPC if stays else errno.EIO
    words = ("predict", str(run.path), str(digits / "0/00-0.png"), str(digits / "1/01-1.png"))
    contents = {path.read_bytes() for path in digits.rglob("*.png")}

    def once(n: int, k: int) -> tuple[FailingDisk, Result]:
        disk = FailingDisk(k, number, stays=stays)
        monkeypatch.setattr(files, "os", disk)
        result = cli(*words, "--output", f"out-{n}.csv", "--copy-to", f"sorted-{n}")
        monkeypatch.setattr(files, "os", os)
        return disk, result

    counting, result = once(0, 10**9)
    assert result.exit_code == 0, result.output
    whole = Path("out-0.csv").read_text()
    for k in range(1, counting.n_calls + 1):
        _, result = once(k, k)
        assert "Traceback" not in result.output
        if result.exit_code:
            assert result.exit_code == 1
            assert result.stderr.count("Error: cannot write") == 1, result.stderr
            assert os.strerror(number) in result.stderr
        out = Path(f"out-{k}.csv")
        assert not out.exists() or out.read_text() == whole, f"call {k}"
        assert {path.read_bytes() for path in Path(f"sorted-{k}").rglob("*.png")} <= contents, f"call {k}"
    assert {path.read_bytes() for path in digits.rglob("*.png")} == contents


@pytest.mark.slow
def test_an_export_that_cannot_be_written_leaves_the_one_before(
    run: RunFolder, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x.onnx"
    target.write_bytes(b"of another day")
    monkeypatch.setattr(files, "os", FailingDisk(2, errno.ENOSPC, stays=True))
    result = cli("export", str(run.path), "--output", str(target))
    assert result.exit_code == 1
    assert f"cannot write {target}: No space left on device" in result.stderr
    assert target.read_bytes() == b"of another day"
