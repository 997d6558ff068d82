"""The time to one accuracy: a probe beside fine-tuning by fastai and by timm's train.py, on the same files.

    python -m benchmarks.comparison FOLDER --fastai PYTHON --timm TRAIN.PY [--rounds 3]

FOLDER is what `python -m benchmarks.transfer_data FOLDER` wrote. PYTHON has fastai and timm installed; TRAIN.PY is the
script of timm's repository, run by this Python. Each is a whole process on the same cores; what it needs to start
counts, as it does for who types the command. Prints a table of medians.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.transfer import SIZE, probe_words
from benchmarks.transfer_data import MODEL

TARGET = 0.85
SCRIPT = Path(__file__).parent / "rivals" / "fastai_finetune.py"
# Epochs and learning rates: the best of those that were tried for each (see docs/comparison.md).
FASTAI = {"fine_tune": (12, "2e-3"), "one_cycle": (5, "4e-3"), "head": (6, "5e-2")}
TIMM = (5, "4e-3")


def lines_of(command: Sequence[str], place: Path) -> Iterator[tuple[float, str]]:
    """Yield the seconds since a command began, and each line that it prints then; it is stopped when none is wanted."""
    started = time.perf_counter()
    # Features that an earlier round kept are not found.
    alone = {**os.environ, "XDG_CACHE_HOME": str(place / "cache")}
    process = subprocess.Popen(
        command, cwd=place, env=alone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            yield time.perf_counter() - started, line
        if process.wait():
            raise SystemExit("".join(said[-20:]))
    finally:
        process.kill()
        process.wait()


def ours(photos: Path, weights: Path, place: Path) -> Iterator[tuple[float, float]]:
    """Yield the seconds and the accuracy of a probe."""
    for seconds, line in lines_of(probe_words(photos, weights), place):
        if line.startswith("{"):
            yield seconds, json.loads(line)["top1"]


def fastai(python: str, way: str, photos: Path, weights: Path, place: Path) -> Iterator[tuple[float, float]]:
    """Yield the seconds and the accuracy of each epoch of fastai, in one of the ways of its script."""
    epochs, lr = FASTAI[way]
    command = (python, "-u", str(SCRIPT), str(photos), str(weights), str(epochs), lr, way)
    for seconds, line in lines_of(command, place):
        if line.startswith("{"):
            yield seconds, json.loads(line)["top1"]


def timm_words(script: str, photos: Path, weights: Path) -> list[str]:
    """Return the command line of timm's script."""
    seen = f"--img-size {SIZE} --interpolation bilinear --crop-pct 1 --no-aug --num-classes 10 --device cpu --workers 0"
    epochs, lr = TIMM
    trained = f"--batch-size 32 --opt adamw --lr {lr} --weight-decay 0.01 --sched cosine --epochs {epochs}"
    weighed = f"--model {MODEL} --pretrained --pretrained-path {weights} --warmup-epochs 0 --channels-last"
    return [sys.executable, "-u", script, "--data-dir", str(photos), *f"{weighed} {seen} {trained}".split()]


def timm(script: str, photos: Path, weights: Path, place: Path) -> Iterator[tuple[float, float]]:
    """Yield the seconds and the accuracy of each epoch of timm's script."""
    found = None
    for seconds, line in lines_of(timm_words(script, photos, weights), place):
        if match := re.search(r"Test: .*Acc@1: +[\d.]+ \( *([\d.]+)\)", line):
            found = float(match[1]) / 100
        elif found is not None and ("Current checkpoints" in line or line.startswith("Train: ")):
            yield seconds, found
            found = None
    if found is not None:
        yield seconds, found


def reached(course: Iterator[tuple[float, float]], name: str) -> tuple[float | None, float]:
    """Return the seconds after which a course first had the accuracy that is asked for, and its best until then."""
    best = 0.0
    for seconds, top1 in course:
        best = max(best, top1)
        print(f"  {name}: {top1:.1%} after {seconds:.1f} s", flush=True)
        if top1 >= TARGET:
            return seconds, best
    return None, best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fastai", default="")
    parser.add_argument("--timm", default="")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    photos, weights = (given.folder.absolute() / name for name in ("photos", "lite0.safetensors"))
    found: dict[str, list[tuple[float | None, float]]] = {}
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            courses = {"clfctl probe": ours(photos, weights, place)}
            for way in FASTAI if given.fastai else ():
                courses[f"fastai {way}"] = fastai(given.fastai, way, photos, weights, place)
            if given.timm:
                courses["timm train.py"] = timm(str(Path(given.timm).absolute()), photos, weights, place)
            for name, course in courses.items():
                found.setdefault(name, []).append(reached(course, name))
    first = statistics.median(seconds for seconds, _ in found["clfctl probe"] if seconds is not None)
    for name, rounds in found.items():
        times = [seconds for seconds, _ in rounds if seconds is not None]
        best = statistics.median(best for _, best in rounds)
        if len(times) < len(rounds):
            print(f"{name:18} not reached: {best:.1%}")
        else:
            print(f"{name:18} {statistics.median(times):6.1f} s  {statistics.median(times) / first:5.2f} x  {best:.1%}")


if __name__ == "__main__":
    main()
