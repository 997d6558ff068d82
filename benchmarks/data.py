"""Images per second that training can be fed with, against torchvision, NVIDIA DALI and the bare stages, in turns.

    python benchmarks/data.py [seconds of each turn] [number of turns]

Cuts the photographs of the Debian packages ukui-wallpapers and lomiri-wallpapers-16.04 to JPEG files of two sizes;
where they are not installed, it draws pictures, and says so. Random resized crop to 224 pixels and flip, two threads
or worker processes each. Ends with status 1 if a ratio is below what it must reach. DALI is left out where it is not
installed: `pip install nvidia-dali-cuda120` (no GPU is needed).
"""

import importlib
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from clfctl.bench.feeds import (
    DALI,
    Runner,
    dali_feed,
    files_of,
    loader_feed,
    n_ahead_of,
    n_ahead_of_rival,
    take_turns,
    torchvision_feed,
)
from clfctl.bench.rows import Rates, ratio
from clfctl.data.cache.make import cached_sources
from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.decode import decode, resize
from clfctl.data.pixels.fit import canvas_of, random_box
from clfctl.data.pixels.transform import LIGHT, Preprocess
from clfctl.data.sources.open import open_data
from clfctl.display.output import Output
from clfctl.settings.data import DataSettings
from clfctl.settings.groups import OutputSettings

PHOTOGRAPHS = Path("/usr/share/backgrounds")
N_THREADS, BATCH, CROP = 2, 16, 224
SQUARE = (CROP, CROP)
# What ours must be, at least, times the other, by size.
BARS = {
    (500, 375): {"torchvision": 2.3, "DALI": 1.2, "bare stages": 0.85},
    (2400, 1600): {"torchvision": 5.0, "DALI": 1.0, "bare stages": 0.85},
}
# What ours must be from --cache disk, in its second epoch and later, times torchvision.
CACHE_BARS = {(500, 375): 4.0}
CACHED = "clfctl --cache disk"
N_FILES = {(500, 375): 512, (2400, 1600): 96}
N_NAMES = 8  # of each file: an epoch of a few batches would mostly measure how epochs begin and end


def photographs() -> list[Image.Image]:
    """Return large pictures to cut from."""
    paths = sorted(PHOTOGRAPHS.glob("*.jpg")) if PHOTOGRAPHS.is_dir() else []
    images = [Image.open(path) for path in paths]
    large = [image.convert("RGB") for image in images if image.width >= 2400 and image.height >= 1600]
    if large:
        return large
    print("no photographs: drawn pictures in their place; ratios will differ")
    draw = np.random.default_rng(0)
    ramp = np.add.outer(np.linspace(0, 90, 1800), np.linspace(0, 90, 2700))[..., None]
    drawn = []
    for _ in range(6):
        coarse = Image.fromarray(draw.integers(0, 255, (225, 338, 3), np.uint8)).resize((2700, 1800))
        noise = draw.normal(0, 6, (1800, 2700, 1))
        drawn.append(Image.fromarray((np.asarray(coarse) * 0.5 + ramp + noise).clip(0, 255).astype(np.uint8)))
    return drawn


def cut_files(images: list[Image.Image], root: Path, size: tuple[int, int]) -> None:
    """Write JPEG files of a size, each a random part of a picture, into four class folders."""
    draw = random.Random(0)
    for n in range(N_FILES[size]):
        image = images[n % len(images)]
        scale = draw.uniform(max(size[0] / image.width, size[1] / image.height), 1)
        width, height = size[0] / scale, size[1] / scale
        left, top = draw.uniform(0, image.width - width), draw.uniform(0, image.height - height)
        folder = root / str(n % 4)
        folder.mkdir(parents=True, exist_ok=True)
        part = image.resize(size, Image.Resampling.BICUBIC, (left, top, left + width, top + height))
        file = folder / f"{n}.jpg"
        part.save(file, quality=90)
        for again in range(1, N_NAMES):
            (folder / f"{n}-{again}.jpg").hardlink_to(file)


def runners_of(root: Path, *, with_cache: bool) -> dict[str, Runner]:
    """Return the feeds to compare, ours first; that with a cache is in its second epoch."""
    data = open_data(DataSettings(data=str(root), val_split=0, batch_size=BATCH), 0)
    bad = BadImages("error", len(data.train))
    loader = Loader(data.train, Preprocess(CROP), BATCH, N_THREADS, bad, shuffle_seed=0, augment=LIGHT)
    files = files_of(data.train)
    assert files is not None
    others = {"torchvision": torchvision_feed, "DALI": dali_feed}
    try:
        importlib.import_module(DALI)
    except ImportError as error:
        print(f"DALI is left out: {error}")
        del others["DALI"]
    ahead = n_ahead_of_rival(N_THREADS)
    runners = {"clfctl": Runner(loader_feed(loader), n_ahead_of(loader), BATCH)}
    if with_cache:
        settings = DataSettings(data=str(root), cache="disk", cache_dir=root.parent / "cache")
        cached = loader.reading(
            cached_sources(settings, data, Preprocess(CROP), Output(OutputSettings(quiet=True)).onlookers()).train
        )
        for _ in cached.batches():
            pass
        runners[CACHED] = Runner(loader_feed(cached), n_ahead_of(cached), BATCH)
    return runners | {
        name: Runner(feed(files, SQUARE, BATCH, N_THREADS), ahead, BATCH) for name, feed in others.items()
    }


def bare_process(paths: list[Path], seconds: float, seed: int, done: Any) -> None:
    """Read, decode and resize, one image after the other, without a loader."""
    torch.set_num_threads(1)
    draw = random.Random(seed)
    n_images, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        with Image.open(draw.choice(paths)) as image:
            resize(decode(image, 1, random_box(canvas_of(*image.size, "crop", SQUARE), draw), SQUARE), *SQUARE)
        n_images += 1
    done.put(n_images / seconds)


def bare(root: Path, seconds: float) -> float:
    """Return images/s of one process a core, without the time that it takes to start them."""
    context = multiprocessing.get_context("fork")  # as soon as they are there they work
    done = context.SimpleQueue()
    paths = sorted(root.rglob("*.jpg"))
    workers = [context.Process(target=bare_process, args=(paths, seconds, n, done)) for n in range(N_THREADS)]
    for worker in workers:
        worker.start()
    speeds: list[float] = [done.get() for _ in workers]
    for worker in workers:
        worker.join()
    return sum(speeds)


def compare(root: Path, size: tuple[int, int], seconds: float, n_turns: int) -> bool:
    """Print the medians and ratios; return whether every bar is reached."""
    runners = runners_of(root, with_cache=size in CACHE_BARS)
    turns: dict[str, list[float]] = {}
    for _ in range(n_turns):
        take_turns(runners, seconds, 1, turns)
        turns.setdefault("bare stages", []).append(bare(root, seconds))
    rates = {name: Rates(tuple(each)) for name, each in turns.items()}
    reached = True
    print(f"{size[0]} x {size[1]} JPEG, images/s, medians of {n_turns} turns")
    print(f"  {'clfctl':<12} {rates['clfctl'].median:6.0f}")
    for name, bar in BARS[size].items():
        if name in rates:
            times = ratio(rates["clfctl"], rates[name])
            print(f"  {name:<12} {rates[name].median:6.0f}   clfctl is {times:.2f} times (at least {bar})")
            reached &= times >= bar
    if size in CACHE_BARS:
        times, bar = ratio(rates[CACHED], rates["torchvision"]), CACHE_BARS[size]
        print(f"  {CACHED}: {rates[CACHED].median:.0f}, {times:.2f} times torchvision (at least {bar})")
        reached &= times >= bar
    return reached


def main() -> int:
    seconds, n_turns = (float(sys.argv[1]) if sys.argv[1:] else 4.0), int(sys.argv[2]) if sys.argv[2:] else 7
    images = photographs()
    reached = []
    with tempfile.TemporaryDirectory() as folder:
        for size in BARS:
            root = Path(folder) / f"{size[0]}x{size[1]}"
            cut_files(images, root, size)
            reached.append(compare(root, size, seconds, n_turns))
    return int(not all(reached))


if __name__ == "__main__":
    sys.exit(main())
