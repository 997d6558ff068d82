"""What previewing 1,000,000 batches costs as a whole process: time beside a plain loop of as many formulas, and memory.

python benchmarks/preview.py
"""

import math
import resource
import statistics
import subprocess
import sys
import time

EPOCHS, BATCHES, ROUNDS = 1000, 1000, 5
MAX_S, MAX_MB, MAX_GROWTH_MB = 2.0, 300, 5
MIXED = "linear:100 > cosine(eta_min=1e-6):500 > step"
# Every part moves at every batch.
MOVING = "onecycle:300 > cosine(every=batch, eta_min=1e-6):400 > exponential(every=batch)"
SCHEDULES = ("step", "cosine", "onecycle", "wsd", MIXED, MOVING)


def plain_loop() -> float:
    """Return the seconds of evaluating and writing a cosine for every batch, with nothing around it."""
    started = time.perf_counter()
    with open("/dev/null", "w", encoding="utf-8") as sink:  # noqa: PTH123 (no path of ours)
        for batch in range(EPOCHS * BATCHES):
            sink.write(f"{batch},{(1 + math.cos(math.pi * batch / EPOCHS / BATCHES)) / 2!r}\n")
    return time.perf_counter() - started


def preview(schedule: str, epochs: int = EPOCHS, batches: int = BATCHES) -> float:
    """Return the seconds of the whole process that writes the learning rate of every batch as CSV."""
    words = ["lr-preview", schedule, "--warmup", "2", "--epochs", str(epochs), "--steps-per-epoch", str(batches)]
    started = time.perf_counter()
    command = [sys.executable, "-m", "clfctl", *words, "--format", "csv"]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def peak_mb() -> float:
    """Return the largest memory that a preview has taken so far."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> int:
    """Print the medians; return 1 if one is over its limit."""
    # The largest of all is kept: first the few epochs, then fifty times as many of as many batches.
    few, many = ((preview(MOVING, epochs, 100), peak_mb())[1] for epochs in (1000, 50_000))
    times: dict[str, list[float]] = {name: [] for name in ("plain loop", *SCHEDULES)}
    for _ in range(ROUNDS):
        times["plain loop"].append(plain_loop())
        for schedule in SCHEDULES:
            times[schedule].append(preview(schedule))
    base = statistics.median(times["plain loop"])
    medians = {name: statistics.median(each) for name, each in times.items()}
    for name, median in medians.items():
        print(f"{name:82} {median:5.2f} s   {median / base:5.2f} times the plain loop")
    print(f"at most {MAX_S} s; peak memory {peak_mb():.0f} MB, at most {MAX_MB}")
    print(f"fifty times as many epochs take {many - few:.1f} MB more, at most {MAX_GROWTH_MB}")
    is_slow = max(medians[name] for name in SCHEDULES) > MAX_S
    return int(is_slow or peak_mb() > MAX_MB or many - few > MAX_GROWTH_MB)


if __name__ == "__main__":
    sys.exit(main())
