"""How many threads to decode with: as many as the cores and the disk are good for."""

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from clfctl.settings.launch import launch

MEASURED_S, MEASURED_IMAGES = 0.25, 32
# Seconds of Python per image, which only one thread at a time can run: with more threads than an image's time divided
# by this they would wait for each other. Measured: 0.1 ms, whatever the image's size.
PYTHON_S = 1e-4
MOST = 32
# Images that take less are tried with threads: see `climb`. Each try takes so long, and is to gain so much.
SMALL_S, TRY_S, GAIN = 1e-3, 0.025, 1.15


def pick_workers(
    read: Callable[[int], object], indices: Sequence[int], begin_thread: Callable[[], object] | None = None
) -> int:
    """Return a number of threads after reading a few of the images that `indices` name, for about 0.25 s at most.

    One for each core, and more where the reading itself waits, as for a disk on the network: then a thread computes for
    a part of its time only. Of small images fewer, as many as are faster when they are tried. `read` is called with
    some of the indices, spread evenly, from several threads, and must not raise; `begin_thread` runs first in each.
    """
    cores = own_cores()
    if not indices:
        return cores
    step = max(1, len(indices) // MEASURED_IMAGES)
    some = indices[::step][:MEASURED_IMAGES]
    ends_s, image_s, computed_s = time.perf_counter() + MEASURED_S, [], []
    for index in some:
        started_s, started_computing_s = time.perf_counter(), time.thread_time()
        read(index)
        computed_s.append(time.thread_time() - started_computing_s)
        image_s.append(time.perf_counter() - started_s)
        if time.perf_counter() > ends_s:
            break
    # Medians: where other programs want the cores, some images wait for them, but not most, as for a slow disk.
    typical_s = statistics.median(image_s)
    n = workers_for(cores, typical_s, statistics.median(computed_s))
    if n == 1 or typical_s > SMALL_S:
        return n
    return climb(lambda n: images_per_s(read, some, n, begin_thread), n)


def workers_for(cores: int, image_s: float, computed_s: float) -> int:
    """Return the number of threads for images that take `image_s` each, of which `computed_s` on a core."""
    # The clock of threads may be too coarse to tell.
    useful = cores * min(image_s / computed_s, MOST) if computed_s > 0 else cores
    return max(1, min(math.ceil(useful - 0.5), int(image_s / PYTHON_S), MOST))


def climb(images_per_s: Callable[[int], float], most: int) -> int:
    """Return the number of threads, of 1, 2, 4 and so on up to `most`, after which twice as many are hardly faster.

    Each operation on a picture gives Python's lock back and has to get it again. Of a small picture that is most of its
    time: threads that wait for the lock in turn are slower together than one alone, the more so the more cores there
    are. Measured on 16 cores, 32 pixels from memory: 7,770 images/s in one thread, 3,194 in three.
    """
    n, before = 1, images_per_s(1)
    while n < most:
        more = min(2 * n, most)
        now = images_per_s(more)
        if now < GAIN * before:
            break
        n, before = more, now
    return n


def images_per_s(
    read: Callable[[int], object], indices: Sequence[int], n: int, begin_thread: Callable[[], object] | None = None
) -> float:
    """Return how many images `n` threads read in a second, from a short try."""
    with ThreadPoolExecutor(n, "clfctl-try", initializer=begin_thread) as pool:
        started_s = time.perf_counter()
        ends_s = started_s + TRY_S

        def read_on(first: int) -> int:
            done = 0
            while time.perf_counter() < ends_s:
                read(indices[(first + done) % len(indices)])
                done += 1
            return done

        done = sum(pool.map(read_on, range(n)))
        return done / (time.perf_counter() - started_s)


def n_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def own_cores() -> int:
    """Return the cores that are this process's share, where several train together on a machine."""
    return max(1, n_cores() // launch().n_local)
