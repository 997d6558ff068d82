"""Trackers: what they write is what the run recorded, once, whatever happened; and what fails stops nothing."""

import csv
import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from clfctl.cli import completion
from clfctl.engine.progress import Progress
from clfctl.engine.watching import Steps, Training, Watchers
from clfctl.errors import Interrupted
from clfctl.planning.plan import make_plan
from clfctl.runs.folder import RunFolder
from clfctl.runs.state import state_of
from clfctl.runs.windows import recorded_windows
from clfctl.settings.base import FieldError
from clfctl.settings.groups import TrainSettings
from clfctl.settings.tracked import trackers_in
from clfctl.storage.json_lines import read_json_lines
from clfctl.tracking import tracker as tracker_module
from clfctl.tracking.backend import Backend, Final, Item, Subject
from clfctl.tracking.csv_files import CsvFiles
from clfctl.tracking.picture import confusion_picture, confusion_table
from clfctl.tracking.recorded import Record, unwritten
from clfctl.tracking.tracker import Together, Tracker
from tests.faults.processes import TINY, run, start

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
    second.end(FINAL)
    with file.open() as lines:
        assert [[*row.values()] for row in csv.DictReader(lines)] == [
            ["1", "0.5", ""], ["2", "0.25", "1.0"], ["3", "0.125", "2.0"]
        ]  # fmt: skip
    assert (tmp_path / "track/confusion.csv").read_text() == "true,a,b\na,1,1\nb,0,2\n"


def test_a_confusion_matrix_is_blue_where_it_is_right() -> None:
    picture = confusion_picture(np.array([[3, 1], [0, 0]]))
    assert picture.shape == (480, 480, 3)
    assert picture[0, 0, 2] > picture[0, 0, 0]
    assert picture[0, -1, 0] > picture[0, -1, 2]
    assert (picture[-1] == 255).all()
    assert confusion_table(["a", "b|c"], np.array([[3, 1], [0, 0]])).splitlines()[-1] == "| b/c | 0 | 0 |"


class Away:
    """A server that does not answer, as far as a tracker sees: when it is opened, or from the first number on."""

    def __init__(self, *, from_the_start: bool = True) -> None:
        self._from_the_start = from_the_start

    def open(self, subject: Subject) -> Mapping[str, int]:
        if self._from_the_start:
            time.sleep(60)
        return {}

    def write(self, items: Sequence[Item]) -> None:
        time.sleep(60)

    def end(self, final: Final | None) -> None: ...

    def close(self) -> None: ...


def training(folder: Path) -> Training:
    return Training(RunFolder(folder), make_plan(TrainSettings(), None), (), Progress())


class Written:
    """A backend that keeps what it is told."""

    def __init__(self, last: Mapping[str, int] | None = None) -> None:
        self.last, self.items, self.ends = last or {}, list[Item](), list[Final | None]()
        self.is_closed = False

    def open(self, subject: Subject) -> Mapping[str, int]:
        return self.last

    def write(self, items: Sequence[Item]) -> None:
        self.items += items

    def end(self, final: Final | None) -> None:
        self.ends.append(final)

    def close(self) -> None:
        self.is_closed = True


def ended(
    folder: Path, *backends: Backend, final: Callable[[], Final | None], error: BaseException | None = None
) -> list[str]:
    """Return what is told of trackers of a finished run that is opened, and ended again."""
    told, together = list[str](), Together(final)
    everyone = Watchers([Tracker(f"t{n}", each, {}, together) for n, each in enumerate(backends)], told.append)
    everyone.start(training(folder))
    everyone.step(Steps(0, [1.0], [0.1]))
    everyone.end(error)
    return told


def test_a_tracker_that_cannot_write_is_told_once(tmp_path: Path) -> None:
    folder = shutil.copytree(OLDER, tmp_path / "run")
    (folder / "track").touch()  # where its folder should be
    told = list[str]()
    everyone = Watchers([Tracker("csv", CsvFiles(), {}, Together(lambda: FINAL))], told.append)
    everyone.start(training(folder))
    for _ in range(3):
        everyone.step(Steps(0, [1.0], [0.1]))
    everyone.end(None)
    (line,) = told
    assert line.startswith("Warning: Tracker failed and was dropped; training goes on: csv: ")
    assert "File exists" in line


@pytest.mark.parametrize("from_the_start", [True, False])
@pytest.mark.parametrize("error", [None, Interrupted("Stopped.", "", 143)], ids=["its end", "a signal"])
def test_servers_that_are_away_are_waited_for_together(
    error: BaseException | None, from_the_start: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WAIT_S", "STOPPED_S", "OPEN_S"):
        monkeypatch.setattr(tracker_module, name, 0.15)
    folder, started = shutil.copytree(OLDER, tmp_path / "run"), time.perf_counter()
    here = Written()
    servers = [Away(from_the_start=from_the_start) for _ in range(3)]
    told = ended(folder, *servers, here, final=lambda: FINAL, error=error)
    assert time.perf_counter() - started < 0.9  # one by one it would be 1.2 s and more
    assert len(told) == 3
    assert all("what it lacks is written when the run is resumed" in line for line in told)
    # The one that answers has all.
    assert here.is_closed
    assert [item.step for item in here.items if "train_loss" in item.values] == [1, 2]
    assert here.ends == ([FINAL] if error is None else [])


def test_a_signal_does_not_wait_as_long_as_an_end() -> None:
    assert tracker_module.STOPPED_S <= 10 < tracker_module.WAIT_S <= 60


def test_without_validation_images_nothing_failed_and_the_end_is_told(tmp_path: Path) -> None:
    here = Written()
    assert ended(shutil.copytree(OLDER, tmp_path / "run"), here, final=lambda: None) == []
    assert here.ends == [None]


def test_a_measurement_that_fails_is_made_and_told_once(tmp_path: Path) -> None:
    made = list[int]()

    def fails() -> Final:
        made.append(1)
        raise RuntimeError("no memory")

    one, two = Written(), Written()
    (line,) = ended(shutil.copytree(OLDER, tmp_path / "run"), one, two, final=fails)
    assert "the last measurement failed, and is not in any track: no memory" in line
    assert len(made) == 1
    assert one.ends == two.ends == [None]


def test_what_is_known_at_the_end_is_written_once(tmp_path: Path) -> None:
    folder = shutil.copytree(OLDER, tmp_path / "run")
    first = Written()
    ended(folder, first, final=lambda: FINAL)
    assert [item for item in first.items if "final/top1" in item.values] == [
        Item(2, first.items[-1].batches, {"final/top1": 0.5})
    ]
    last = {name: item.step for item in first.items for name in item.values}
    again = Written(last)
    ended(folder, again, final=lambda: FINAL)
    assert (again.items, again.ends) == ([], [None])


def of_csv(folder: Path, name: str) -> dict[str, list[tuple[int, float]]]:
    with (folder / "track" / name).open() as file:
        rows = list(csv.DictReader(file))
    step = next(iter(rows[0]))
    return {title: [(int(row[step]), float(row[title])) for row in rows if row[title]] for title in rows[0]}


def of_mlflow(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder.parent.resolve() / 'mlflow.db'}")
    run_id = (folder / "track/mlflow-run.txt").read_text().strip()
    names = client.get_run(run_id).data.metrics
    return {name: sorted((each.step, each.value) for each in client.get_metric_history(run_id, name)) for name in names}


def of_wandb(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from clfctl.tracking.wandb_files import rows_in

    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows_in(folder / "track", (folder / "track/wandb-run.txt").read_text().strip()):
        for name, value in row.items():
            step = row.get("batches" if name.startswith("batch/") else "epoch")
            if step is not None:
                found.setdefault(name, []).append((int(step), value))
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_after_a_kill_every_track_is_the_history(photos: Path) -> None:
    words = ("train", "--data", str(photos), *TINY, "--scheduler", "constant", "--run-name", "one", "--save-every", "3")
    process = start(*words, "--epochs", "5000", "--track", "tensorboard,mlflow,wandb,csv")
    process.wait_for('"epoch": 8', 120)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    folder = Path("runs/one")
    epochs = state_of(RunFolder(folder)).epoch
    assert epochs is not None
    code, said = run("resume", str(folder), "--epochs", str(epochs + 4))
    assert code == 0, said
    assert "Warning: Tracker" not in said
    history = read_json_lines(folder / "history.jsonl")
    assert len(history) == epochs + 4
    from clfctl.tracking.tensorboard_files import scalars_in

    tracks = {
        "csv": of_csv(folder, "epochs.csv"),
        "tensorboard": scalars_in(str(folder / "track/tensorboard")),
        "mlflow": of_mlflow(folder),
        "wandb": of_wandb(folder),
    }
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
    for name, track in {
        "tensorboard": scalars_in(str(folder / "track/tensorboard")),
        "mlflow": of_mlflow(folder),
        "csv": of_csv(folder, "epochs.csv"),
        "wandb": of_wandb(folder),
    }.items():
        assert [step for step, _ in track["final/top1"]] == [len(history)], name
        assert [step for step, _ in track["val_loss"]] == [each["epoch"] for each in history], name
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{Path('runs').resolve() / 'mlflow.db'}")
    tracked = client.get_run((folder / "track/mlflow-run.txt").read_text().strip())
    assert tracked.info.status == "FINISHED"
    assert tracked.data.params["scheduler"] == "constant"
    assert json.loads(tracked.data.tags["changed.epochs"]) == epochs + 4
    assert {"confusion.json", "confusion.png", "images"} == {
        each.path for each in client.list_artifacts(tracked.info.run_id)
    }


def test_tab_offers_trackers_after_a_comma() -> None:
    assert completion.trackers("t") == ["tensorboard"]
    assert completion.trackers("csv,") == ["csv,tensorboard", "csv,mlflow", "csv,wandb"]
