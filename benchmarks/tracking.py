"""What trackers cost a training: processor time of their threads and processes, an epoch, beside the epoch's time.

    python benchmarks/tracking.py              # about four minutes on two cores, Linux

A training waits for no tracker; it may only be slower while one of their threads has Python's lock or a core. So it
loses at most the time that they compute and that in which it wakes them, and these are counted: the images/s of two
trainings differ by more from run to run. An epoch is one of 3.6 s or so, on the digits: the cost is the same for one of
an hour, and its share less.
"""

import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import clfctl
from clfctl.engine.watching import Training, Watcher
from clfctl.runs.history import EpochResult
from clfctl.tracking import watcher

AWAY = "mlflow, server away"
CASES = {"none": "none", "tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb", "csv": "csv"}
CASES |= {"all four": "tensorboard,mlflow,wandb,csv", AWAY: "mlflow"}
TRAINING: dict[str, Any] = {
    "data": "digits", "image_size": 32, "model": "resnet9_small", "batch_size": 32, "epochs": 8, "export": False,
    "device": "cpu", "amp": "off",
}  # fmt: skip
MOST = 0.01
OWN_THREADS = ("MainThread", "loader")
TICKS = os.sysconf("SC_CLK_TCK")
# As the end is not what is measured, it is not waited for as long as it would be.
SECONDS = {"OPEN_S": 2.0, "WAIT_S": 2.0}


class Costs(Watcher):
    """Notes at the end of each epoch what all threads but a training's own, and all processes begun, have computed."""

    def __init__(self) -> None:
        self.before = processes()
        self.seconds: list[float] = []
        self.telling_s = 0.0

    def start(self, training: Training) -> None:  # noqa: ARG002 (watchers are handed it)
        """Begin to count."""
        self.seconds = [self._used()]

    def epoch(self, result: EpochResult) -> None:  # noqa: ARG002 (as above)
        """Count."""
        self.seconds.append(self._used())

    def an_epoch(self) -> float:
        """Return the seconds of processor time an epoch, the median of all but the first."""
        return statistics.median(b - a for a, b in zip(self.seconds[1:], self.seconds[2:], strict=False))

    def _used(self) -> float:
        threads = [each.native_id for each in threading.enumerate() if not each.name.startswith(OWN_THREADS)]
        in_threads = sum(thread_s(f"/proc/self/task/{each}/schedstat") for each in threads)
        return self.telling_s + in_threads + sum(process_s(number) for number in processes() - self.before)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what a training itself spends on telling its trackers."""

        def clocked(tell: Callable[..., None]) -> Callable[..., None]:
            def told(*values: object) -> None:
                begun_s = time.perf_counter()
                tell(*values)
                self.telling_s += time.perf_counter() - begun_s

            return told

        trackers = watcher.Trackers
        with patch.multiple(trackers, step=clocked(trackers.step), epoch=clocked(trackers.epoch)):
            yield


def processes() -> set[int]:
    """Return the numbers of all processes of this machine."""
    return {int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()}


def thread_s(stat: str) -> float:
    """Return for how long a thread had a core, from its schedstat; 0 if it has ended."""
    try:
        return int(Path(stat).read_text(encoding="ascii").split()[0]) / 1e9
    except OSError:
        return 0.0


def process_s(number: int) -> float:
    """Return for how long the threads of a process had a core, to a hundredth of a second; 0 if it has ended."""
    try:
        user, system = Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    except OSError:
        return 0.0
    return (int(user) + int(system)) / TICKS


@contextmanager
def server_away() -> Iterator[None]:
    """Send MLflow to a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        before = {name: getattr(watcher, name) for name in SECONDS}
        os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{server.getsockname()[1]}"
        for name, seconds in SECONDS.items():
            setattr(watcher, name, seconds)
        try:
            yield
        finally:
            del os.environ["MLFLOW_TRACKING_URI"]
            for name, seconds in before.items():
                setattr(watcher, name, seconds)


def measure(name: str, folder: Path) -> float:
    """Train with a case's trackers, print what they cost, and return it as a share of an epoch's time."""
    costs = Costs()
    with costs.counting(), server_away() if name == AWAY else nullcontext():
        found = clfctl.train(track=CASES[name], runs_dir=folder, run_name=name, watchers=[costs], **TRAINING)
    epoch_s = statistics.median(each.time_s for each in found.history[1:])
    share = costs.an_epoch() / epoch_s
    telling_ms = 1000 * costs.telling_s / len(found.history)
    print(f"{name:20} {1000 * costs.an_epoch():6.1f} ms an epoch of {epoch_s:.1f} s: at most {share:.2%}", end="")
    print(f", {telling_ms:.2f} ms of it in the training itself", flush=True)
    return share


def main() -> int:
    """Measure each case; return 1 if one costs more than it may."""
    with tempfile.TemporaryDirectory() as folder:
        shares = [measure(name, Path(folder)) for name in CASES]
    return int(max(shares) > MOST)


if __name__ == "__main__":
    sys.exit(main())
