"""Threads spin where this process is the only one that computes: told by the files of Linux' processes."""

import os
from pathlib import Path

import pytest

from clfctl.cli.spinning import SHORT, VARIABLE, is_quiet, spin_where_quiet


def processes(folder: Path, load: str, *states: str) -> Path:
    (folder / "loadavg").write_text(f"{load} 0.10 0.10 1/90 4711\n")
    for number, state in enumerate(states, 100):
        (folder / str(number)).mkdir()
        (folder / str(number) / "stat").write_text(f"{number} (a (R) name) {state} 1 1 1 0 -1")
    (folder / "tty").mkdir()
    (folder / "99").mkdir()  # one that has ended meanwhile
    return folder


@pytest.mark.parametrize(
    ("load", "states", "quiet"),
    [
        ("0.12", "RSSD", True),
        ("0.12", "RSR", False),
        ("1.90", "RSS", False),
        ("0.50", "SSS", True),
        ("many", "R", False),
    ],
)
def test_it_is_quiet_where_one_process_runs(tmp_path: Path, load: str, states: str, quiet: bool) -> None:
    assert is_quiet(processes(tmp_path, load, *states)) is quiet


def test_without_such_files_it_is_not_quiet(tmp_path: Path) -> None:
    assert not is_quiet(tmp_path / "proc")


@pytest.mark.parametrize(("quiet", "given", "after"), [(False, None, SHORT), (True, None, None), (False, "7", "7")])
def test_what_the_user_says_stays(
    quiet: bool, given: str | None, after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    if given:
        monkeypatch.setenv(VARIABLE, given)
    monkeypatch.setattr("clfctl.cli.spinning.is_quiet", lambda: quiet)
    spin_where_quiet()
    assert os.environ.get(VARIABLE) == after
