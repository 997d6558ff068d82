"""A study that is moved, damaged, begun twice, out of room, or full of trials that fail: said, and nothing is lost."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import run, start
from tests.faults.test_disk import on_a_disk_of_its_own
from tests.faults.test_study import STUDY, finished, trials_of

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")]
# Without what is searched, how it is drawn, and how it is shown.
BARE = STUDY[: STUDY.index("--search")]


def made_of(trials: list[dict[str, object]]) -> list[object]:
    """What must be the same in two studies, whatever their validation images are called."""
    return [(each["state"], each["value"], each["settings"], each["epochs"]) for each in trials]


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_a_study_goes_on_from_another_folder_after_a_move_and_without_its_notes(
    storage: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path.cwd()
    photos.rename(place / "photos")
    small = ("--data", "photos", "--image-size", "8", "--model", "resnet9_small", "--epochs", "2", "--pruner", "none")
    search = ("--search", "lr=1e-4..1e-2:log", "--search", "batch-size=6,9")
    words = ("tune", *small, *search, "--storage", storage, "--json")
    whole = made_of(finished(*words, "--trials", "3", "--run-name", "whole"))
    finished(*words, "--trials", "1", "--run-name", "part")
    (place / "deep").mkdir()
    monkeypatch.chdir("deep")
    assert made_of(finished("tune", "../runs/part", "--trials", "2", "--json")) == whole[:2]
    # All of it in another place, and gone on with from there.
    (place / "new").mkdir()
    for name in ("runs", "photos"):
        (place / name).rename(place / "new" / name)
    trials = finished("tune", "../new/runs/part", "--trials", "3", "--json")
    assert made_of(trials) == whole
    # What was noted is damaged: that is said, and without it the trials are found again by their runs.
    notes = place / "new/runs/part" / ("study.db" if storage == "sqlite" else "study.journal")
    notes.write_bytes(b"damaged\n" * 400)
    code, error = run("tune", "../new/runs/part")
    assert code == 1
    assert notes.name in error
    assert "move it away" in error
    notes.unlink()
    histories = sorted(notes.parent.glob("trial-*/history.jsonl"))
    times = [each.stat().st_mtime_ns for each in histories]
    assert made_of(finished("tune", "../new/runs/part", "--json")) == whole
    assert [each.stat().st_mtime_ns for each in histories] == times


def test_a_run_of_another_trial_is_not_taken_for_its_own() -> None:
    finished(*STUDY, "--trials", "1", "--run-name", "s")
    Path("runs/s/trial-0/trial.json").write_text(json.dumps({"drawn": {"lr": 0.5, "batch_size": "10"}}))
    Path("runs/s/study.db").unlink()
    code, error = run("tune", "runs/s")
    assert code == 1
    assert "runs/s/trial-0 was trained with lr 0.5, batch_size 10, and the trial has lr " in error


def test_of_processes_that_begin_a_study_at_once_all_work_on_it() -> None:
    """The same command in all, on a file system that they share, as SLURM starts them."""
    words = (*STUDY, "--trials", "3", "--storage", "sqlite:///x.db", "--run-name", "s")
    all_of_them = [start(*words) for _ in range(3)]
    assert [each.wait(240) for each in all_of_them] == [0] * 3, [each.err.read_text() for each in all_of_them]
    trials = trials_of(all_of_them[0].out.read_text())
    assert [each["state"] for each in trials] == ["complete"] * 3
    assert len({json.dumps(each["settings"]) for each in trials}) == 3


def test_of_two_other_studies_of_one_name_one_is_made() -> None:
    words = (*STUDY, "--trials", "1", "--storage", "sqlite:///x.db", "--run-name", "s")
    spaces = {"one": "weight-decay=0.1,0.2", "two": "weight-decay=0.3,0.4"}
    both = [start(*words, "--runs-dir", name, "--search", space) for name, space in spaces.items()]
    codes = [each.wait(180) for each in both]
    assert sorted(codes) == [0, 2], [each.err.read_text() for each in both]
    assert sum("is another one: it searches" in each.err.read_text() for each in both) == 1
    assert [Path(name, "s").exists() for name in spaces].count(True) == 1


DYING = """
import optuna, os
real = optuna.Study.ask
def ask(self):
    real(self)
    os._exit(9)
optuna.Study.ask = ask
"""


def test_a_trial_that_was_just_made_when_its_process_ended_is_not_waited_for_without_end() -> None:
    """It has no folder and gave no sign of life yet: Optuna alone would never take it for dead."""
    words = (*STUDY, "--trials", "2", "--storage", "sqlite:///x.db", "--run-name", "s", "--heartbeat", "1")
    assert start(*words, "--runs-dir", "one", prepare=DYING).wait() == 9
    trials = finished(*words, "--runs-dir", "two")
    assert [each["state"] for each in trials] == ["complete"] * 2


def test_a_study_of_which_no_trial_came_to_its_end_fails_and_writes_no_settings() -> None:
    Path("best.toml").write_text("# of before\n")
    search = ("--search", "lr=1e30,1e31", "--sampler", "grid", "--write", "best.toml", "--run-name", "s")
    code, error = run(*BARE, *search)
    assert code == 1
    assert "no trial of runs/s came to its end" in error
    assert "Traceback" not in error
    assert Path("best.toml").read_text() == "# of before\n"
    assert Path("runs/s/report.html").is_file()


BROKEN = """
import clfctl.tuning.training as m
real = m.begin
def begin(settings, data, to):
    if settings.batch_size == 10:
        raise RuntimeError("a library's own words")
    return real(settings, data, to)
m.begin = begin
"""


def test_an_error_of_a_library_ends_a_trial_and_not_the_study() -> None:
    search = ("--search", "batch-size=10,20", "--sampler", "grid", "--pruner", "none", "--json")
    running = start(*BARE, *search, "--run-name", "s", prepare=BROKEN)
    assert running.wait(120) == 0, running.err.read_text()
    states = sorted(str(each["state"]) for each in trials_of(running.out.read_text()))
    assert states == ["complete", "failed"]
    assert "RuntimeError: a library's own words" in running.err.read_text()


DIVERGES = """
import clfctl.tuning.study as m
from clfctl.errors import NonFiniteLossError
real = m.train_run
def train_run(settings, drawn, run, *values, **named):
    if settings.seed == 2:
        raise NonFiniteLossError("the loss of epoch 1 is nan")
    return real(settings, drawn, run, *values, **named)
m.train_run = train_run
"""


def test_another_seed_that_diverges_loses_nothing() -> None:
    words = (*STUDY, "--trials", "1", "--confirm", "3", "--write", "best.toml", "--run-name", "s")
    running = start(*words, prepare=DIVERGES)
    assert running.wait(180) == 0, running.err.read_text()
    confirmed = json.loads(running.out.read_text().splitlines()[-1])["confirmed"]
    assert (confirmed["seeds"], confirmed["failed"], len(confirmed["values"])) == ([1, 3], [2], 2)
    assert Path("best.toml").is_file()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 5 MB: for a few saves of a trial, not for all."""
    if not on_a_disk_of_its_own(tmp_path / "disk", "5m"):
        pytest.skip("only root may mount a file system")
    yield tmp_path / "disk"
    subprocess.run(["umount", tmp_path / "disk"], check=True)


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_a_full_disk_ends_a_study_and_more_room_lets_it_go_on(storage: str, small_disk: Path) -> None:
    words = (*STUDY, "--trials", "3", "--storage", storage)
    whole = made_of(finished(*words, "--run-name", "whole"))
    code, error = run(*words, "--run-name", "s", "--runs-dir", str(small_disk))
    assert code == 1, error
    assert any(reason in error for reason in ("No space left on device", "disk is full", "disk I/O error"))
    assert "Traceback" not in error
    assert error.count("Error: ") == 1
    subprocess.run(["mount", "-o", "remount,size=60m", small_disk], check=True)
    assert made_of(finished("tune", str(small_disk / "s"), "--json")) == whole


def test_a_study_in_a_read_only_folder_is_a_sentence(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    if not on_a_disk_of_its_own(disk, "60m"):
        pytest.skip("only root may mount a file system")
    try:
        finished(*STUDY, "--trials", "1", "--run-name", "s", "--runs-dir", str(disk))
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for words in (("tune", str(disk / "s")), (*STUDY, "--run-name", "t", "--runs-dir", str(disk))):
            code, error = run(*words)
            assert code == 1, error
            assert "Read-only file system" in error
            assert "Traceback" not in error
    finally:
        subprocess.run(["umount", disk], check=True)
