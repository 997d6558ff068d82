"""What a prediction costs with EfficientNet-B0: one image in a warm process, a whole process, and a folder.

    python -m benchmarks.inference [number of turns]

ONNX Runtime and torch take turns, in one run, on the same photographs (cut as benchmarks/data.py cuts them). Ends with
status 1 if something is below what it must reach. The model has random weights: they cost what others do.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import cut_files, photographs
from clfctl.data.workers import n_cores
from clfctl.inference.open import open_predictor
from clfctl.inference.prediction import Choice
from clfctl.inference.predictor import Predictor
from clfctl.inference.stream import predict_one, predictions, read_pixels
from clfctl.runs.folder import RunFolder

CLFCTL = [sys.executable, "-m", "clfctl"]
SIZE, N_FOLDER, N_WARM = (500, 375), 2000, 40
MAX_WARM_MS, MAX_PROCESS_S, MIN_TIMES_TORCH, MIN_SHARE, MAX_GROWTH = 100.0, 1.5, 5.0, 0.9, 1.05
ONE = Choice(1)
# What the system counted for a child of this process would begin with what this process has.
MEASURED = """
import atexit, pathlib, sys
atexit.register(lambda: print(pathlib.Path("/proc/self/status").read_text(), file=sys.stderr))
from clfctl.__main__ import main
main()
"""


class Report:
    """What was measured against what it must be; `failed` counts what is not."""

    def __init__(self) -> None:
        self.failed = 0

    def line(self, what: str, value: str, is_met: bool | None = None, bar: str = "") -> None:
        """Print a line."""
        self.failed += is_met is False
        mark = "" if is_met is None else f"   {'' if is_met else 'NOT '}{bar}"
        print(f"{what:44} {value:>24}{mark}", flush=True)


def _silent(line: str) -> None:
    """Tell nothing."""


def make_run(folder: Path, images: Path) -> RunFolder:
    """Train EfficientNet-B0 for two steps, and export it as training does."""
    words = [
        "--model",
        "efficientnet_b0",
        "--no-pretrained",
        "--epochs",
        "1",
        "--max-per-class",
        "2",
        "--batch-size",
        "4",
    ]
    words += ["--val-split", "0.02", "--runs-dir", str(folder), "--run-name", "b0", "--quiet"]
    subprocess.run([*CLFCTL, "train", "--data", str(images), *words], check=True)
    run = RunFolder(folder / "b0")
    if not run.onnx.is_file():
        sys.exit("there is no model.onnx: install the extra onnx")
    return run


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def warm(report: Report, onnx: Predictor, torch: Predictor, files: list[str]) -> None:
    """One image at a time, from the file to its class."""
    times: dict[str, list[float]] = {"onnx": [], "torch": []}
    for file in files[:3]:
        for each in (onnx, torch):
            predict_one(each, file, ONE)
    for file in files[:N_WARM]:
        for name, each in (("onnx", onnx), ("torch", torch)):
            times[name].append(1000 * timed(partial(predict_one, each, file, ONE)))
    p95 = float(np.percentile(times["onnx"], 95))
    medians = {name: statistics.median(each) for name, each in times.items()}
    report.line("warm, one image, ONNX Runtime: median", f"{medians['onnx']:.1f} ms")
    report.line("warm, one image, ONNX Runtime: p95", f"{p95:.1f} ms", p95 < MAX_WARM_MS, f"under {MAX_WARM_MS:.0f} ms")
    times_torch = medians["torch"] / medians["onnx"]
    report.line(
        "warm, one image, torch: median",
        f"{medians['torch']:.1f} ms, {times_torch:.2f} times",
        times_torch >= 1,
        "at least as slow as ONNX Runtime",
    )


def process(report: Report, run: RunFolder, file: str, n_turns: int) -> None:
    """The whole command, from the shell's point of view."""
    times: dict[str, list[float]] = {"onnx": [], "torch": []}
    for _ in range(n_turns):
        for name, model in (("onnx", run.path), ("torch", run.best)):
            command = [*CLFCTL, "predict", str(model), file]
            times[name].append(timed(partial(subprocess.run, command, check=True, capture_output=True)))
    onnx, torch = (statistics.median(each) for each in times.values())
    report.line("clfctl predict, ONNX Runtime", f"{onnx:.2f} s", onnx < MAX_PROCESS_S, f"under {MAX_PROCESS_S} s")
    is_met = torch / onnx >= MIN_TIMES_TORCH
    report.line(
        "clfctl predict, torch", f"{torch:.2f} s, {torch / onnx:.1f} times", is_met, f"{MIN_TIMES_TORCH:g} times"
    )


def exhaust(found: Iterable[object]) -> int:
    return sum(1 for _ in found)


def run_all(pool: ThreadPoolExecutor, call: Callable[[Any], object], values: Sequence[Any]) -> int:
    return exhaust(pool.map(call, values))


def folder(report: Report, onnx: Predictor, files: list[str], n_turns: int) -> None:
    """All files of a folder, against decoding alone and the model alone, each with every core."""
    cores = n_cores()
    pixels = [each for file in files[: onnx.batch_size] if not isinstance(each := read_pixels(onnx, file), str)]
    rates: dict[str, list[float]] = {"decode": [], "model": [], "folder": []}
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(n_turns):
            some = files[:1000]
            took_s = timed(partial(run_all, pool, partial(read_pixels, onnx), some))
            rates["decode"].append(len(some) / took_s)
            n_batches = 60
            took_s = timed(partial(run_all, pool, onnx.probabilities, [pixels] * n_batches))
            rates["model"].append(n_batches * len(pixels) / took_s)
            took_s = timed(lambda: exhaust(predictions(onnx, files, ONE, workers=cores)))
            rates["folder"].append(len(files) / took_s)
    medians = {name: statistics.median(each) for name, each in rates.items()}
    for name in ("decode", "model"):
        report.line(f"{name} alone, {cores} threads", f"{medians[name]:.0f} images/s")
    both = 1 / (1 / medians["decode"] + 1 / medians["model"])
    report.line("the most that these cores can do of both", f"{both:.0f} images/s")
    # Of each turn: what else the machine did meanwhile, it did to all three.
    share = statistics.median(f / min(d, m) for d, m, f in zip(*rates.values(), strict=True))
    value = f"{medians['folder']:.0f} images/s, {share:.2f} of it"
    report.line(f"a folder of {len(files)} JPEGs", value, share >= MIN_SHARE, f"{MIN_SHARE} of the smaller one")


def memory(report: Report, run: RunFolder, root: Path, files: list[str]) -> None:
    """The most memory that the command takes, for a few images and for many."""
    most: dict[int, float] = {}
    for n in (N_FOLDER // 10, N_FOLDER):
        part = root / f"part-{n}"
        part.mkdir()
        for k, file in enumerate(files[:n]):
            os.link(file, part / f"{k}.jpg")
        command = [sys.executable, "-c", MEASURED, "predict", str(run.path), str(part)]
        done = subprocess.run([*command, "--format", "csv"], check=True, capture_output=True, text=True)
        most[n] = int(done.stderr.rpartition("VmHWM:")[2].split()[0]) / 1024
    few, many = most.values()
    report.line(f"memory for {N_FOLDER // 10} images", f"{few:.0f} MB")
    is_met = many <= MAX_GROWTH * few
    report.line(f"memory for {N_FOLDER} images", f"{many:.0f} MB", is_met, f"at most {MAX_GROWTH} times")


def main() -> int:
    n_turns = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    report = Report()
    print(f"{n_cores()} cores, load {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        images = root / "images"
        cut_files(photographs(), images, SIZE)
        found = sorted(str(path) for path in images.rglob("*.jpg"))
        files = list(islice((name for _ in range(N_FOLDER) for name in found), N_FOLDER))
        run = make_run(root / "runs", images)
        process(report, run, files[0], 2 * n_turns + 1)
        warm(report, open_predictor(run.path, n_cores(), _silent), open_predictor(run.best, n_cores(), _silent), found)
        folder(report, open_predictor(run.path, 1, _silent), files, n_turns)
        memory(report, run, root, files)
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    return int(report.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
