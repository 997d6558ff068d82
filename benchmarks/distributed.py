"""Images per second of one process and of two on this machine, and what a formula makes of 8, 64 and 512 GPUs.

    python benchmarks/distributed.py              # trains for a minute or two
    python benchmarks/distributed.py --simulate   # only computes

The table is simulated: its assumptions are the constants below, and docs/scaling.md says what they mean.
"""

import argparse
import itertools
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from clfctl.runs.folder import RunFolder
from clfctl.storage.json_lines import read_json_lines

TRAINING: tuple[str, ...] = ("--data", "digits", "--image-size", "32", "--model", "resnet9_small", "--epochs", "4")
TRAINING += ("--batch-size", "128", "--device", "cpu", "--amp", "off", "--no-export", "--workers", "1")

# Assumptions of the table. Bytes a second that an all-reduce gets of NVLink and of a 400 Gbit/s network card that eight
# GPUs share; seconds of a hop; the share of the backward pass that sending can hide behind.
NVLINK, HOP_S, HIDDEN = 200e9, 5e-6, 0.5
NETWORKS = {"400 Gbit/s": 40e9, "10 Gbit/s": 1.1e9}
JITTER = 0.02  # standard deviation of a step's time: all wait for the slowest
GPUS_OF_MACHINE = 8
HOST_HOP_S = 30e-6  # of the message of a few numbers that goes between hosts before each batch, a hop of a ring


@dataclass(frozen=True)
class Case:
    """A network on one GPU: bytes of its gradients, seconds of a step on its share of a batch."""

    name: str
    gradient_bytes: float
    step_s: float
    images: int


CASES = (Case("4 M parameters (EfficientNet-B0)", 16e6, 0.100, 256), Case("86 M parameters (ViT-B)", 346e6, 0.200, 256))


def sent_s(gradient_bytes: float, n: int, network: float) -> float:
    """Return how long gradients take to be summed up over `n` GPUs by rings: in each machine, then between them."""
    inside, machines = min(n, GPUS_OF_MACHINE), max(1, n // GPUS_OF_MACHINE)
    local = 2 * (inside - 1) / inside * gradient_bytes / NVLINK + 2 * (inside - 1) * HOP_S
    between = 2 * (machines - 1) / machines * gradient_bytes / network + 2 * (machines - 1) * HOP_S
    return local + between


def efficiency(case: Case, n: int, network: float) -> float:
    """Return the share of `n` times one GPU's images per second."""
    hidden = HIDDEN * case.step_s * 2 / 3  # the backward pass is two thirds of a step
    agreed_s = max(0.0, (n - 1) * HOST_HOP_S - 0.5 * case.step_s)  # while the GPU still computes the step before
    slowest_s = JITTER * math.sqrt(2 * math.log(n)) * case.step_s
    shown_s = max(0.0, sent_s(case.gradient_bytes, n, network) - hidden)
    return case.step_s / (case.step_s + slowest_s + shown_s + agreed_s)


def simulate() -> None:
    """Print the table of docs/scaling.md."""
    for case, (name, network) in itertools.product(CASES, NETWORKS.items()):
        cells = [f"{efficiency(case, n, network):.0%}" for n in (8, 64, 512)]
        print(f"| {case.name} | {name} | {' | '.join(cells)} |")


def images_per_s(n: int, folder: Path) -> float:
    """Return the median over the later epochs of a training by `n` processes with a thread each."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)] if n > 1 else []
    words = ["-m", "clfctl", "train", *TRAINING, "--runs-dir", str(folder), "--run-name", f"of-{n}", "--quiet"]
    subprocess.run([sys.executable, *launch, *words], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    later = [record["images_per_s"] for record in read_json_lines(RunFolder(folder / f"of-{n}").history)][1:]
    return float(sorted(later)[len(later) // 2])


def main() -> None:
    """Measure, or simulate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulate", action="store_true")
    if not parser.parse_args().simulate:
        with tempfile.TemporaryDirectory() as folder:
            one, two = (images_per_s(n, Path(folder)) for n in (1, 2))
        print(f"1 process: {one:.0f} images/s; 2 processes: {two:.0f}, {two / one:.2f} times")
    simulate()


if __name__ == "__main__":
    main()
