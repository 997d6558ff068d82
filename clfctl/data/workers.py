"""How many threads to decode with: as many as the cores and the disk are good for."""

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence

MEASURED_S, MEASURED_IMAGES = 0.25, 32
# Seconds of Python per image, which only one thread at a time can run: with more threads than an image's time divided
# by this they would wait for each other. Measured: 0.1 ms, whatever the image's size.
PYTHON_S = 1e-4
MOST = 32


def pick_workers(read: Callable[[int], object], indices: Sequence[int]) -> int:
    """Return a number of threads after reading a few of the images that `indices` name, for at most 0.25 s.

    One for each core, and more where the reading itself waits, as for a disk on the network: then a thread computes for
    a part of its time only. `read` is called with some of the indices, spread evenly, and must not raise.
    """
    cores = n_cores()
    if not indices:
        return cores
    step = max(1, len(indices) // MEASURED_IMAGES)
    ends_s, image_s, computed_s = time.perf_counter() + MEASURED_S, [], []
    for index in indices[::step][:MEASURED_IMAGES]:
        started_s, started_computing_s = time.perf_counter(), time.thread_time()
        read(index)
        computed_s.append(time.thread_time() - started_computing_s)
        image_s.append(time.perf_counter() - started_s)
        if time.perf_counter() > ends_s:
            break
    # Medians: where other programs want the cores, some images wait for them, but not most, as for a slow disk.
    return workers_for(cores, statistics.median(image_s), statistics.median(computed_s))


def workers_for(cores: int, image_s: float, computed_s: float) -> int:
    """Return the number of threads for images that take `image_s` each, of which `computed_s` on a core."""
    # The clock of threads may be too coarse to tell.
    useful = cores * min(image_s / computed_s, MOST) if computed_s > 0 else cores
    return max(1, min(math.ceil(useful - 0.5), int(image_s / PYTHON_S), MOST))


def n_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
