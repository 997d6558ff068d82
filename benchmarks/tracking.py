"""Images/s of a training that is tracked divided by those of one that is not, in alternating rounds."""

import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import clfctl

ROUNDS, EPOCHS = 3, 5
LEAST = 0.99
# Every tracker alone, all at once, and a server that nobody answers at: the address is of a network of examples.
CASES: dict[str, tuple[str, dict[str, str]]] = {
    "csv": ("csv", {}),
    "tensorboard": ("tensorboard", {}),
    "mlflow": ("mlflow", {}),
    "wandb": ("wandb", {}),
    "all": ("tensorboard,mlflow,wandb,csv", {}),
    "mlflow, server away": ("mlflow", {"MLFLOW_TRACKING_URI": "http://192.0.2.1:5000"}),
}


def rates_of(track: str, folder: Path) -> list[float]:
    """Train some epochs; return images/s of each but the first, in which kernels are chosen."""
    fields: dict[str, Any] = {
        "data": "digits",
        "image_size": 32,
        "model": "custom",
        "augment": "none",
        "seed": 0,
        "export": False,
    }
    trained = clfctl.train(runs_dir=folder, run_name="{n}", epochs=EPOCHS, track=track, **fields)
    return [each.images_per_s for each in trained.history[1:]]


def measure(title: str, track: str, environment: dict[str, str]) -> bool:
    """Print the ratio of a case; return whether it is as large as it must be."""
    os.environ.update(environment)
    ratios = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for n in range(ROUNDS):
                order = ("none", track) if n % 2 else (track, "none")
                found = {each: rates_of(each, Path(folder)) for each in order}
                ratios += [ours / bare for ours, bare in zip(found[track], found["none"], strict=True)]
    finally:
        for name in environment:
            del os.environ[name]
    ratio = statistics.median(ratios)
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    print(f"{title}: median ratio {ratio:.3f} of {len(ratios)} epochs, {spread} (at least {LEAST})", flush=True)
    return ratio >= LEAST


def main() -> int:
    """Measure each; return 1 if a ratio is too small."""
    reached = [measure(title, *case) for title, case in CASES.items()]
    return int(not all(reached))


if __name__ == "__main__":
    sys.exit(main())
