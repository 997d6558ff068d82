"""Measuring how fast images come: windows of time, the images to measure with, and the memory in use."""

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clfctl.data.keys import SAMPLE, permutation
from clfctl.data.pixels.decode import Picture, see_and_close
from clfctl.data.pixels.unreadable import BAD_IMAGE_ERRORS
from clfctl.data.sources.base import Part

Feed = Iterator[int]  # endless; each value is a number of images that are ready
MAX_IMAGES, MAX_BYTES = 512, 1 << 30
WAIT_S = 10.0


@dataclass(frozen=True)
class Sample:
    """The images that are measured with: `n_images` different ones of `n_all`, in an epoch as long as training's.

    They were all read once, one after the other, in `read_s` seconds: from here on they come from memory. `n_bytes` is
    0 where the images are not encoded.
    """

    part: Part
    n_images: int
    n_all: int
    n_bytes: int
    read_s: float


def take_sample(part: Part, seed: int, seconds: float, n_least: int) -> Sample:
    """Return a sample drawn from `seed` and read once: no more than can be read in `seconds`, but `n_least` images."""
    started, n_bytes = time.perf_counter(), 0
    taken: list[int] = []
    for place in permutation(len(part), SAMPLE, seed)[:MAX_IMAGES].tolist():
        if len(taken) >= n_least and (time.perf_counter() > started + seconds or n_bytes > MAX_BYTES):
            break
        taken.append(part.indices[place])
        with suppress(*BAD_IMAGE_ERRORS):
            n_bytes += see_and_close(part.source.open(taken[-1]), read_bytes)
    # Each image comes again and again, so that an epoch does not end sooner than it does in training.
    repeated = np.resize(np.asarray(taken, np.int64), len(part))
    whole = Part(part.source, repeated.tolist())
    return Sample(whole, len(taken), len(part), n_bytes, time.perf_counter() - started)


def read_bytes(image: Picture) -> int:
    """Read the bytes that an opened image will be decoded from; return their number, 0 if there are none."""
    file = getattr(image, "fp", None)
    if file is None:
        return 0
    position = file.tell()
    file.seek(0)
    size = len(file.read())
    file.seek(position)
    return size


def worker_counts(n_cores: int) -> list[int]:
    """Return the numbers of workers to try: every small one, some of the larger ones, and a quarter above the cores."""
    steps = [0, 1, 2, 3]
    while steps[-1] < n_cores:
        steps.append(2 * steps[-2])  # 4, 6, 8, 12, 16, 24, …
    return sorted({n for n in steps if n < n_cores} | {n_cores, n_cores + max(1, n_cores // 4)})


def measure(
    feed: Feed, n_ahead: int, seconds: float, n_least: int, on_batch: Callable[[], None] = lambda: None
) -> float:
    """Return images/s of a window of `seconds` and `n_least` batches; what comes before it does not count.

    Before it come the `n_ahead` batches that were made while nothing was measured, or as many as `seconds` allow: a
    consumer that takes longer for them does not wait for batches at all. `on_batch` is called after each batch.
    """
    started = time.perf_counter()
    for _ in range(n_ahead):
        next(feed)
        on_batch()
        if time.perf_counter() > started + seconds:
            break
    n_images, n_batches, started = 0, 0, time.perf_counter()
    while n_batches < n_least or time.perf_counter() < started + seconds:
        n_images += next(feed)
        n_batches += 1
        on_batch()
    return n_images / (time.perf_counter() - started)


def measure_once(feed: Generator[int, None, None], n_ahead: int, seconds: float, n_least: int) -> tuple[float, int]:
    """Return images/s of a feed that begins and ends here, and the most memory that was in use meanwhile, in bytes."""
    before, peak = set(threading.enumerate()), 0

    def on_batch() -> None:
        nonlocal peak
        peak = max(peak, resident_bytes())

    try:
        return measure(feed, n_ahead, seconds, n_least, on_batch), peak
    finally:
        feed.close()
        # What still decodes would slow down whatever is measured next.
        for thread in set(threading.enumerate()) - before:
            thread.join(WAIT_S)


def load_before() -> float:
    """Return how many cores' worth of work there was in the last minute, rounded; 0 where the system does not say."""
    try:
        return round(os.getloadavg()[0], 1)
    except (AttributeError, OSError):  # Windows has none
        return 0.0


def resident_bytes() -> int:
    """Return the memory that this process has now; where the system does not say, the most that it ever had, or 0."""
    if sys.platform == "win32":
        return 0
    import resource  # not on Windows

    try:
        pages = Path("/proc/self/statm").read_bytes().split()[1]
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else 1024 * most
    return int(pages) * resource.getpagesize()
