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
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from clfctl.data.decode import decode, resize
from clfctl.data.loader import BadImages, Loader
from clfctl.data.open import open_data
from clfctl.data.transform import LIGHT, Preprocess, random_box
from clfctl.settings.groups import DataSettings

PHOTOGRAPHS = Path("/usr/share/backgrounds")
N_THREADS, BATCH, CROP = 2, 16, 224
N_AHEAD = 4  # batches that each of the three makes ahead, at most
# What ours must be, at least, times the other, by size.
BARS = {
    (500, 375): {"torchvision": 2.3, "DALI": 1.2, "bare stages": 0.85},
    (2400, 1600): {"torchvision": 5.0, "DALI": 1.0, "bare stages": 0.85},
}
N_FILES = {(500, 375): 512, (2400, 1600): 96}
N_NAMES = 8  # of each file: an epoch of a few batches would mostly measure how epochs begin and end
Feed = Iterator[int]  # endless; each value is a number of images that are ready


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


def ours(root: Path) -> Feed:
    data = open_data(DataSettings(data=str(root), val_split=0, batch_size=BATCH), 0)
    bad = BadImages("error", len(data.train))
    loader = Loader(data.train, Preprocess(CROP), BATCH, N_THREADS, bad, shuffle_seed=0, augment=LIGHT)
    epoch = 0
    while True:
        for batch in loader.batches(epoch):
            yield len(batch.labels)
        epoch += 1


def torchvision(root: Path) -> Feed:
    from torchvision import datasets, transforms

    seen = [transforms.RandomResizedCrop(CROP), transforms.RandomHorizontalFlip(), transforms.PILToTensor()]
    data = datasets.ImageFolder(str(root), transforms.Compose(seen))
    loader: Any = torch.utils.data.DataLoader(data, BATCH, shuffle=True, num_workers=N_THREADS, persistent_workers=True)
    while True:
        for images, _ in loader:
            yield len(images)


def nvidia_dali(root: Path) -> Feed:
    # Not typed the same way from version to version.
    dali: Any = importlib.import_module("nvidia.dali")
    fn, types = dali.fn, dali.types

    pipeline = dali.Pipeline(BATCH, N_THREADS, device_id=None)
    with pipeline:
        files, labels = fn.readers.file(file_root=str(root), random_shuffle=True)
        crops = fn.decoders.image_random_crop(
            files, device="cpu", output_type=types.RGB, random_area=[0.08, 1], random_aspect_ratio=[3 / 4, 4 / 3]
        )
        small = fn.resize(crops, size=[CROP, CROP], interp_type=types.INTERP_LINEAR, antialias=True)
        pipeline.set_outputs(fn.flip(small, horizontal=fn.random.coin_flip()), labels)
    pipeline.build()
    while True:
        pipeline.run()
        yield BATCH


def bare_process(paths: list[Path], seconds: float, seed: int, done: Any) -> None:
    """Read, decode and resize, one image after the other, without a loader."""
    torch.set_num_threads(1)
    draw = random.Random(seed)
    n_images, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        with Image.open(draw.choice(paths)) as image:
            resize(decode(image, 1, random_box(*image.size, draw), CROP), CROP, CROP)
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


def measured(feed: Feed, seconds: float) -> float:
    """Return images/s; the batches that were made ahead do not count, and are made before this returns."""
    for _ in range(N_AHEAD):
        next(feed)
    n_images, started = 0, time.perf_counter()
    while time.perf_counter() < started + seconds:
        n_images += next(feed)
    speed = n_images / (time.perf_counter() - started)
    time.sleep(1.2 * N_AHEAD * BATCH / speed)
    return speed


def compare(root: Path, size: tuple[int, int], seconds: float, n_turns: int) -> bool:
    """Print the medians and ratios; return whether every bar is reached."""
    runners: dict[str, Callable[[], float]] = {
        name: partial(measured, feed(root), seconds) for name, feed in (("clfctl", ours), ("torchvision", torchvision))
    }
    try:
        importlib.import_module("nvidia.dali")
    except ImportError as error:
        print(f"DALI is left out: {error}")
    else:
        runners["DALI"] = partial(measured, nvidia_dali(root), seconds)
    runners["bare stages"] = partial(bare, root, seconds)
    turns: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(n_turns):
        for name, run in runners.items():
            turns[name].append(run())
    reached = True
    print(f"{size[0]} x {size[1]} JPEG, images/s, medians of {n_turns} turns")
    print(f"  {'clfctl':<12} {statistics.median(turns['clfctl']):6.0f}")
    for name, bar in BARS[size].items():
        if name in turns:
            ratio = statistics.median(a / b for a, b in zip(turns["clfctl"], turns[name], strict=True))
            print(f"  {name:<12} {statistics.median(turns[name]):6.0f}   clfctl is {ratio:.2f} times (at least {bar})")
            reached &= ratio >= bar
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
