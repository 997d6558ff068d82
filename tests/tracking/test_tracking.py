"""Trackers: what they write is what the run recorded, once, whatever happened; and what fails stops nothing."""

import csv
import json
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from clfctl.cli import completion
from clfctl.runs.folder import RunFolder
from clfctl.runs.state import state_of
from clfctl.runs.windows import recorded_windows
from clfctl.settings.base import FieldError
from clfctl.settings.tracked import trackers_in
from clfctl.storage.json_lines import read_json_lines
from clfctl.tracking.backend import Final, Item, Subject
from clfctl.tracking.csv_files import CsvFiles
from clfctl.tracking.picture import confusion_picture, confusion_table
from clfctl.tracking.recorded import Record, unwritten
from tests.faults.processes import TINY, run, start
from tests.tracking.readers import READERS, mlflow_client, mlflow_run, of_csv

Cli = Callable[..., Result]
OLDER = Path(__file__).parents[1] / "compatibility/2026-11-before-the-move/run"
FINAL = Final({"top1": 0.5}, ["a", "b"], np.array([[1, 1], [0, 2]]), np.zeros((0, 8, 8, 3), np.uint8), [])


def test_names_are_read_once_each() -> None:
    assert trackers_in("csv, mlflow,csv") == ("csv", "mlflow")
    assert trackers_in("none") == trackers_in("") == ()
    with pytest.raises(FieldError, match="'tensorbord' is not a tracker") as caught:
        trackers_in("csv,tensorbord")
    assert caught.value.hint == "did you mean tensorboard?"


def test_a_tracker_that_is_not_installed_is_said_before_anything_begins(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("clfctl.settings.tracked").settings.tracked.TRACKERS, "wandb", "no_such_library")
    result = cli("train", "--data", "digits", "--track", "csv,wandb")
    assert result.exit_code == 2
    assert "--track: wandb is not installed" in result.stderr
    assert "pip install 'clfctl[wandb]'" in result.stderr
    assert not Path("runs").exists()


def test_only_what_the_checkpoint_counts_is_recorded() -> None:
    record = Record(RunFolder(OLDER), ())
    items = record.new_items()
    history = read_json_lines(OLDER / "history.jsonl")
    assert [(item.step, item.values["train_loss"]) for item in items] == [
        (each["epoch"], each["train_loss"]) for each in history[:2]
    ]
    assert [item.batches for item in items] == [items[0].batches, 2 * items[0].batches]
    assert record.new_items() == []


def test_what_a_track_has_is_not_written_again() -> None:
    items = [Item(1, 5, {"a": 1.0, "b": 1.0}), Item(2, 10, {"a": 2.0, "b": 2.0}), Item(3, 15, {"a": 3.0})]
    assert [*unwritten(items, {"a": 2, "b": 1})] == [Item(2, 10, {"b": 2.0}), Item(3, 15, {"a": 3.0})]


def test_csv_files_go_on_after_half_a_row(tmp_path: Path) -> None:
    subject = Subject(RunFolder(tmp_path), {})
    first = CsvFiles()
    assert first.open(subject) == {}
    first.write([Item(1, 5, {"loss": 0.5}), Item(2, 10, {"loss": 0.25, "more": 1.0}), Item(5, 5, {"batch/loss": 0.1})])
    file = tmp_path / "track/epochs.csv"
    whole = file.read_text()
    file.write_text(whole + "3,0.1")
    second = CsvFiles()
    assert second.open(subject) == {"loss": 2, "more": 2, "batch/loss": 5}
    assert file.read_text() == whole
    second.write([Item(3, 15, {"loss": 0.125, "more": 2.0})])
    second.show(FINAL, Item(3, 15, {"final/top1": 0.5}))
    with file.open() as lines:
        assert [[*row.values()] for row in csv.DictReader(lines)] == [
            ["1", "0.5", "", ""], ["2", "0.25", "1.0", ""], ["3", "0.125", "2.0", "0.5"]
        ]  # fmt: skip
    assert (tmp_path / "track/confusion.csv").read_text() == "true,a,b\na,1,1\nb,0,2\n"


def test_a_confusion_matrix_is_blue_where_it_is_right() -> None:
    picture = confusion_picture(np.array([[3, 1], [0, 0]]))
    assert picture.shape == (480, 480, 3)
    assert picture[0, 0, 2] > picture[0, 0, 0]
    assert picture[0, -1, 0] > picture[0, -1, 2]
    assert (picture[-1] == 255).all()
    assert confusion_table(["a", "b|c"], np.array([[3, 1], [0, 0]])).splitlines()[-1] == "| b/c | 0 | 0 |"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_after_a_kill_every_track_is_the_history(photos: Path) -> None:
    words = ("train", "--data", str(photos), *TINY, "--scheduler", "constant", "--run-name", "one", "--save-every", "3")
    process = start(*words, "--epochs", "5000", "--track", "tensorboard,mlflow,wandb,csv")
    process.wait_for('"epoch": 8', 120)
    while not Path("runs/one/track/mlflow-run.txt").is_file():  # each tracker has begun
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    folder = Path("runs/one")
    epochs = state_of(RunFolder(folder)).epoch
    assert epochs is not None
    code, said = run("resume", str(folder), "--epochs", str(epochs + 4))
    assert code == 0, said
    assert "Warning" not in said
    history = read_json_lines(folder / "history.jsonl")
    assert len(history) == epochs + 4
    tracks = {name: read(folder) for name, read in READERS.items()}
    windows = recorded_windows(RunFolder(folder))
    for name, track in tracks.items():
        for title in history[0]:
            expected = [(each["epoch"], float(each[title])) for each in history]
            if title == "epoch" or not all(math.isfinite(value) for _, value in expected):
                continue
            assert [step for step, _ in track[title]] == [step for step, _ in expected], (name, title)
            assert [v for _, v in track[title]] == pytest.approx([v for _, v in expected], rel=1e-6), (name, title)
        losses = (of_csv(folder, "batches.csv") if name == "csv" else track)["batch/loss"]
        assert [value for _, value in losses] == pytest.approx([each.loss for each in windows], rel=1e-6), name
        assert len({step for step, _ in losses}) == len(windows), name
    # Gone on with once more, a run that is finished has everything once still, the numbers of its end among them.
    code, said = run("resume", str(folder))
    assert code == 0, said
    for name, read in READERS.items():
        track = read(folder)
        assert [step for step, _ in track["final/top1"]] == [len(history)], name
        assert [step for step, _ in track["val_loss"]] == [each["epoch"] for each in history], name
    noted = mlflow_run(folder)
    assert noted.info.status == "FINISHED"
    assert noted.data.params["scheduler"] == "constant"
    assert json.loads(noted.data.tags["changed.epochs"]) == epochs + 4
    assert {"confusion.json", "confusion.png", "images"} == {
        each.path for each in mlflow_client(folder).list_artifacts(noted.info.run_id)
    }


def test_tab_offers_trackers_after_a_comma() -> None:
    assert completion.trackers("t") == ["tensorboard"]
    assert completion.trackers("csv,") == ["csv,tensorboard", "csv,mlflow", "csv,wandb"]
