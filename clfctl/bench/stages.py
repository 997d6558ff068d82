"""What an image costs on its way to the model, stage by stage, in one thread; the same work as the loader's."""

import random
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch

from clfctl.bench.rows import COPY, Rates, Stage
from clfctl.bench.windows import read_bytes
from clfctl.data.keys import AUGMENT, hash_key
from clfctl.data.loader import BadImages, compute_alone
from clfctl.data.pixels.augment import change, erase
from clfctl.data.pixels.decode import (
    Picture,
    Pixels,
    mirrored,
    see_and_close,
)
from clfctl.data.pixels.transform import Augmentation, Preprocess, placed, random_part, to_pixels
from clfctl.data.pixels.unreadable import BAD_IMAGE_ERRORS
from clfctl.data.sources.base import Part
from clfctl.errors import DataError

READ, DECODE, RESIZE, AUGMENTED, COLLATE = "read", "decode and crop", "resize", "augment", "collate"
CENTRE = "decode, crop and resize"


@dataclass
class Clock:
    """Adds up the seconds since the last call under the name of what was done meanwhile."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.perf_counter)

    def lap(self, name: str) -> None:
        """Note that `name` is done."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


@dataclass(frozen=True)
class Work:
    """What is done to the images of `part`, `batch_size` at a time; `copy` takes a batch to the device, and waits."""

    part: Part
    preprocess: Preprocess
    augmentation: Augmentation
    batch_size: int
    seed: int
    bad_images: BadImages
    copy: Callable[[torch.Tensor], object]


def time_stages(work: Work, seconds: float, on_batch: Callable[[], None] = lambda: None) -> list[Stage]:
    """Return the stages, in their order, from as many batches as `seconds` allow: two at least, after one to warm up.

    Raises DataError if no image can be read, or as many cannot as stop a training.
    """
    batches: list[dict[str, float]] = []
    until, number = 0.0, 0
    # As in the loader: a thread of its own, whose computing stays in it.
    with ThreadPoolExecutor(1, initializer=compute_alone) as pool:
        while len(batches) < 3 or time.perf_counter() < until:
            if number > _n_batches(work) and not batches:
                raise DataError("no image can be read", "look at them with: clfctl check-data")
            if per_image := _batch(work, number, pool):
                batches.append(per_image)
            until = until or time.perf_counter() + seconds
            number += 1
            on_batch()
    del batches[0]
    medians = {name: statistics.median(each[name] for each in batches) for name in batches[0]}
    whole = sum(medians.values())
    return [
        Stage(name, median, median / whole, Rates(tuple(1 / each[name] for each in batches)))
        for name, median in medians.items()
    ]


def _n_batches(work: Work) -> int:
    return -(-len(work.part) // work.batch_size)


def _batch(work: Work, number: int, pool: ThreadPoolExecutor) -> dict[str, float]:
    """Return the seconds of each stage for an image of the batch; nothing if none could be read."""
    images, seconds = pool.submit(_make, work, number).result()
    started = time.perf_counter()
    work.copy(images)
    seconds[COPY] = time.perf_counter() - started
    return {name: each / len(images) for name, each in seconds.items()} if len(images) else {}


def _make(work: Work, number: int) -> tuple[torch.Tensor, dict[str, float]]:
    """Return a batch as the loader makes it, (B, 3, H, W) uint8, and the seconds of each stage."""
    epoch, place = divmod(number, _n_batches(work))
    n_images, clock = 0, Clock()
    batch = np.empty((work.batch_size, *work.preprocess.size, 3), np.uint8)
    for index in work.part.indices[place * work.batch_size : (place + 1) * work.batch_size]:
        try:
            pixels = pixels_of(work, index, hash_key(AUGMENT, work.seed, epoch, index), clock.lap)
        except BAD_IMAGE_ERRORS as error:
            work.bad_images.add(work.part.source.name(index), error)
            continue
        batch[n_images] = pixels
        n_images += 1
        clock.lap(COLLATE)
    images = torch.from_numpy(batch[:n_images]).permute(0, 3, 1, 2)
    clock.lap(COLLATE)
    return images, clock.seconds


def pixels_of(work: Work, index: int, key: int, lap: Callable[[str], None]) -> Pixels:
    """Return what `to_augmented_pixels` makes of the key, and call `lap` after each stage."""
    augmentation, preprocess, draw = work.augmentation, work.preprocess, random.Random(key)

    def cut_out(image: Picture) -> Pixels:
        # A copy from memory for what was read when it was opened, 6 µs for 30 kB.
        read_bytes(image)
        lap(READ)
        if augmentation.level != "none":
            return _random_part(image, work, draw, lap)
        pixels = to_pixels(image, preprocess)
        lap(CENTRE)
        return pixels

    pixels = see_and_close(work.part.source.open(index), cut_out)
    is_changed = augmentation.level not in ("none", "light")
    pixels = change(pixels, augmentation.level, draw) if is_changed else pixels
    if is_erased := bool(augmentation.erasing) and draw.random() < augmentation.erasing:
        pixels = erase(pixels, preprocess.mean, draw)
    if is_erased or augmentation.level != "none":
        lap(AUGMENTED)
    return pixels


def _random_part(image: Picture, work: Work, draw: random.Random, lap: Callable[[str], None]) -> Pixels:
    decoded, cut = random_part(image, work.preprocess, work.augmentation, draw)
    lap(DECODE)
    part = placed(decoded, cut, work.preprocess)
    lap(RESIZE)
    return mirrored(part) if draw.random() < 0.5 else part
