"""Trackers from their start to their end: who is waited for and how long, what is told, and how the end is written."""

import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clfctl
from clfctl.engine.progress import Progress
from clfctl.engine.watching import Steps, Training, Watchers
from clfctl.errors import ClfctlError, Interrupted, NonFiniteLossError, WriteError
from clfctl.planning.plan import make_plan
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TrainSettings
from clfctl.tracking import watcher
from clfctl.tracking.attach import BACKENDS
from clfctl.tracking.backend import Backend, Ending, Final, Item, Subject
from clfctl.tracking.csv_files import CsvFiles
from clfctl.tracking.mlflow_store import STATUS
from clfctl.tracking.tracker import Tracker
from clfctl.tracking.watcher import Trackers, patience
from tests.tracking.readers import READERS, mlflow_run, of_csv

OLDER = Path(__file__).parents[1] / "compatibility/2026-11-before-the-move/run"
FINAL = Final({"top1": 0.5}, ["a", "b"], np.array([[1, 1], [0, 2]]), np.zeros((0, 8, 8, 3), np.uint8), [])


class Away:
    """A server that does not answer, as a client sees of it: every call waits."""

    def __init__(self, opens: bool = False) -> None:
        self._opens, self._never = opens, threading.Event()

    def open(self, subject: Subject) -> Mapping[str, int]:
        if not self._opens:
            self._never.wait()
        return {}

    def write(self, items: Sequence[Item]) -> None:
        self._never.wait()

    def show(self, final: Final, numbers: Item) -> None: ...

    def close(self, ending: Ending) -> None:
        self._never.wait()


class Kept:
    """A backend in memory; its life is longer than that of the trackers that write to it."""

    def __init__(self, last: dict[str, int] | None = None) -> None:
        self.last, self.shown, self.endings = last or {}, list[Item](), list[Ending]()

    def open(self, subject: Subject) -> Mapping[str, int]:
        return self.last

    def write(self, items: Sequence[Item]) -> None:
        for item in items:
            self.last |= dict.fromkeys(item.values, item.step)

    def show(self, final: Final, numbers: Item) -> None:
        self.shown.append(numbers)
        self.write([numbers])

    def close(self, ending: Ending) -> None:
        self.endings.append(ending)


def training(folder: Path) -> Training:
    return Training(RunFolder(folder), make_plan(TrainSettings(), None), (), Progress())


def tracked(backends: Sequence[Backend], final: Callable[[], Final | None], told: list[str]) -> Watchers:
    trackers = [Tracker(type(each).__name__, each, {}) for each in backends]
    return Watchers([Trackers(trackers, final, told.append)], told.append)


def ended(
    backend: Backend,
    folder: Path,
    error: BaseException | None = None,
    final: Final | None = FINAL,
) -> list[str]:
    """Track a training from its start to its end; return what is told."""
    told = list[str]()
    everyone = tracked([backend], lambda: final, told)
    everyone.start(training(folder))
    everyone.end(error)
    return told


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A run of two epochs."""
    return shutil.copytree(OLDER, tmp_path / "run")


def test_a_tracker_that_cannot_write_is_told_once(older: Path) -> None:
    (older / "track").touch()  # where its folder should be
    told, kept = list[str](), Kept()
    everyone = tracked([CsvFiles(), kept], lambda: FINAL, told)
    everyone.start(training(older))
    for _ in range(3):
        everyone.step(Steps(0, [1.0], [0.1]))
    everyone.end(None)
    (line,) = told
    assert line.startswith("Warning: CsvFiles has failed and is not written any more: ")
    assert "File exists" in line
    assert kept.endings == ["finished"]  # the others are not the worse for it


@pytest.mark.parametrize(("n", "opens"), [(3, False), (2, True)])
@pytest.mark.parametrize("error", [None, Interrupted("Stopped", "", 130)])
def test_servers_that_are_away_are_waited_for_together_and_not_for_long(
    n: int, opens: bool, error: ClfctlError | None, older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"OPEN_S": 0.2, "WAIT_S": 0.3, "STOPPED_S": 0.1}
    for name, value in seconds.items():
        monkeypatch.setattr(watcher, name, value)
    told, started = list[str](), time.perf_counter()
    everyone = tracked([*(Away(opens) for _ in range(n)), kept := Kept()], lambda: FINAL, told)
    everyone.start(training(older))
    everyone.step(Steps(0, [1.0], [0.1]))
    began = time.perf_counter()
    assert began - started < 2 * seconds["OPEN_S"]
    everyone.end(error)
    assert time.perf_counter() - began < 1.6 * seconds["STOPPED_S" if error else "WAIT_S"]
    assert len(told) == n
    assert all("Away has not written everything within" in line for line in told)
    assert len(kept.last) > 0


def test_a_signal_is_waited_with_for_seconds_and_a_second_one_not() -> None:
    """Docker kills after 10 seconds."""
    found = [patience(each) for each in (None, Interrupted("", "", 143), KeyboardInterrupt(), WriteError(""))]
    assert found == sorted(found, reverse=True)
    assert found[1] + 1 < 10
    assert patience(NonFiniteLossError("")) == found[0]


def test_a_run_that_is_finished_twice_has_one_end(older: Path) -> None:
    kept = Kept()
    for _ in range(2):
        assert ended(kept, older) == []
    assert kept.shown == [Item(2, kept.shown[0].batches, {"final/top1": 0.5})]
    assert kept.endings == ["finished", "finished"]
    kept.last["final/top1"] = 1  # that of an earlier epoch, of before the run was extended
    ended(kept, older)
    assert len(kept.shown) == 2


def test_without_validation_images_a_run_is_finished_all_the_same(older: Path) -> None:
    kept = Kept()
    assert ended(kept, older, final=None) == []
    assert (kept.shown, kept.endings) == ([], ["finished"])


def test_a_measurement_that_fails_is_made_and_told_once(older: Path) -> None:
    calls, told = list[int](), list[str]()

    def failing() -> Final:
        calls.append(1)
        raise RuntimeError("out of memory")

    everyone = tracked([one := Kept(), two := Kept()], failing, told)
    everyone.start(training(older))
    everyone.end(None)
    assert (len(calls), len(told)) == (1, 1)
    assert "out of memory" in told[0]
    assert one.endings == two.endings == ["finished"]


ENDINGS = [
    (None, "finished", "FINISHED"),
    (Interrupted("Stopped", "", 130), "stopped", "KILLED"),
    (KeyboardInterrupt(), "stopped", "KILLED"),
    (NonFiniteLossError("NaN"), "failed", "FAILED"),
]


@pytest.mark.parametrize(("error", "ending", "status"), ENDINGS)
def test_how_a_training_ended_is_written(error: BaseException | None, ending: Ending, status: str, older: Path) -> None:
    kept = Kept()
    ended(kept, older, error)
    assert kept.endings == [ending]
    assert STATUS[ending] == status


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["csv", "tensorboard", "mlflow", "wandb"])
def test_every_end_is_written_once_and_how_it_came(name: str, older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With each library's own reader: a run that is stopped, finished, and finished again."""
    monkeypatch.setattr(watcher, "STOPPED_S", 60)  # a library is imported and its tables are made first
    for error in (Interrupted("Stopped", "", 130), None, None):
        assert ended(BACKENDS[name](), older, error) == []
        if name == "mlflow":
            assert mlflow_run(older).info.status == ("KILLED" if error else "FINISHED")
    found = READERS[name](older)
    assert [step for step, _ in found["train_loss"]] == [1, 2]
    assert found["final/top1"] == [(2, 0.5)]
    if name == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(older / "track/tensorboard"))
        events.Reload()
        assert [each.step for each in events.Images("confusion matrix")] == [2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_real_client_whose_server_never_answers_delays_nothing(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "OPEN_S", 1.0)
    monkeypatch.setattr(watcher, "WAIT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections, and says nothing
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        options: dict[str, Any] = {
            "image_size": 16,
            "model": "resnet9_small",
            "epochs": 2,
            "batch_size": 6,
            "export": False,
        }
        found = clfctl.train(data=str(photos), track="mlflow,csv", run_name="one", **options)
    assert len(found.history) == 2
    assert [each for each in found.notes if "mlflow has not written everything within 1 s" in each]
    assert [step for step, _ in of_csv(Path("runs/one"), "epochs.csv")["val_top1"]] == [1, 2]
