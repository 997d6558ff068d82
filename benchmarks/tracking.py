"""Images/s of a training with trackers, and with one whose server is away, divided by those without, taking turns.

    python benchmarks/tracking.py              # about ten minutes on two cores
    python benchmarks/tracking.py --rounds 2

Each round trains the same run once for each case, in an order that turns from round to round; a ratio is of two
trainings of one round. The images/s are those of the history, the median of the epochs after the first.
"""

import argparse
import os
import socket
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clfctl
from clfctl.tracking import watcher

WITHOUT, AWAY = "none", "mlflow, server away"
CASES = {WITHOUT: "none", "tensorboard, mlflow, wandb, csv": "tensorboard,mlflow,wandb,csv", AWAY: "mlflow"}
TRAINING: dict[str, Any] = {
    "data": "digits", "image_size": 32, "model": "resnet9_small", "batch_size": 32, "epochs": 6, "export": False,
    "device": "cpu", "amp": "off",
}  # fmt: skip
LEAST = 0.99
# As the end is not what is measured, it is not waited for as long as it would be.
SECONDS = {"OPEN_S": 2.0, "WAIT_S": 2.0}


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


def images_per_s(track: str, folder: Path, name: str) -> tuple[float, float]:
    """Train; return images/s and the seconds of an epoch."""
    history = clfctl.train(track=track, runs_dir=folder, run_name=name, **TRAINING).history[1:]
    rates = [each.images_per_s for each in history]
    return statistics.median(rates), statistics.median(each.time_s for each in history)


def rounds(n: int) -> list[dict[str, float]]:
    """Return the images/s of each case, a record a round."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(-1, n):
            names = [*CASES][number % len(CASES) :] + [*CASES][: number % len(CASES)]
            rates, seconds = {}, 0.0
            for name in names:
                where = Path(folder, str(number))
                run_name = f"run-{[*CASES].index(name)}"
                if name == AWAY:
                    with server_away():
                        rates[name], _ = images_per_s(CASES[name], where, run_name)
                else:
                    rates[name], seconds = images_per_s(CASES[name], where, run_name)
            if number >= 0:  # the first round imports the libraries
                found.append(rates)
                words = "; ".join(f"{each} {rates[each]:.0f} images/s" for each in CASES)
                print(f"{words}; an epoch is {seconds:.1f} s", flush=True)
    return found


def main() -> int:
    """Measure, and print the median ratio of each case; return 1 if one is too small."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    found = rounds(parser.parse_args().rounds)
    reached = True
    for name in CASES:
        if name != WITHOUT:
            ratios = sorted(each[name] / each[WITHOUT] for each in found)
            ratio = statistics.median(ratios)
            reached &= ratio >= LEAST
            print(f"{name}: median ratio {ratio:.3f}, {ratios[0]:.3f} to {ratios[-1]:.3f} (at least {LEAST})")
    return int(not reached)


if __name__ == "__main__":
    sys.exit(main())
