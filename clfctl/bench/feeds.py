"""Where batches come from while they are counted: our loader, torchvision's, NVIDIA DALI's pipeline."""

import importlib
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clfctl.bench.windows import Feed, measure
from clfctl.data.loader import AHEAD, Loader
from clfctl.data.sources.base import FileImages, Part
from clfctl.data.sources.index import Paths
from clfctl.errors import ClfctlError, DataError

PREFETCH = 2  # batches that a worker of torch's makes ahead, and that DALI does
DALI = "nvidia.dali"


@dataclass(frozen=True)
class Files:
    """Image files of a folder of class folders `root`, in the order of an epoch before it is shuffled."""

    root: Path
    paths: Sequence[str]
    labels: Sequence[int]


def files_of(part: Part) -> Files | None:
    """Return the files of a part; None if it is made of anything else than files below one folder."""
    source = part.source
    if not isinstance(source, FileImages) or not isinstance(source.paths, Paths):
        return None
    paths = [source.paths[index] for index in part.indices]
    return Files(Path(source.paths.folder), paths, [source.labels[index] for index in part.indices])


def loader_feed(loader: Loader) -> Generator[int, None, None]:
    """Yield the sizes of the loader's batches, epoch after epoch."""
    epoch = 0
    while True:
        for batch in loader.batches(epoch):
            yield len(batch.labels)
        epoch += 1


def n_ahead_of(loader: Loader) -> int:
    """Return how many batches the loader makes before they are asked for, at most."""
    return loader.workers + AHEAD if loader.workers else 1


def n_ahead_of_rival(workers: int) -> int:
    """Return how many batches torch's workers, or DALI, make before they are asked for."""
    return PREFETCH * max(1, workers)


def torchvision_feed(files: Files, crop: tuple[int, int], batch_size: int, workers: int) -> Feed:
    """Return torchvision's ImageFolder and RandomResizedCrop, torch's DataLoader and its worker processes."""
    from torchvision import datasets, transforms  # six seconds

    seen = [transforms.RandomResizedCrop(crop), transforms.RandomHorizontalFlip(), transforms.PILToTensor()]
    data = datasets.ImageFolder(str(files.root), transforms.Compose(seen), allow_empty=True)
    data.samples = list(zip(files.paths, files.labels, strict=True))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than cores are meant
        loader: Any = torch.utils.data.DataLoader(
            data,
            batch_size,
            shuffle=True,
            num_workers=workers,
            prefetch_factor=PREFETCH if workers else None,
            persistent_workers=workers > 0,
        )
    while True:
        with warnings.catch_warnings():
            # From Python 3.12 on, of fork beside threads: what torch does, and everyone who uses it as it comes.
            warnings.simplefilter("ignore", DeprecationWarning)
            batches = iter(loader)
        for images, _ in batches:
            yield len(images)


def dali_feed(files: Files, crop: tuple[int, int], batch_size: int, workers: int) -> Feed:
    """Return NVIDIA DALI's pipeline on the CPU: decoding of random crops, resize, flip."""
    # Not typed the same way from version to version.
    dali: Any = importlib.import_module(DALI)
    fn, types = dali.fn, dali.types
    pipeline = dali.Pipeline(batch_size, max(1, workers), device_id=None, prefetch_queue_depth=PREFETCH)
    with pipeline:
        encoded, labels = fn.readers.file(files=list(files.paths), labels=list(files.labels), random_shuffle=True)
        crops = fn.decoders.image_random_crop(
            encoded, device="cpu", output_type=types.RGB, random_area=[0.08, 1], random_aspect_ratio=[3 / 4, 4 / 3]
        )
        small = fn.resize(crops, size=list(crop), interp_type=types.INTERP_LINEAR, antialias=True)
        pipeline.set_outputs(fn.flip(small, horizontal=fn.random.coin_flip()), labels)
    pipeline.build()
    while True:
        pipeline.run()
        yield batch_size


@dataclass(frozen=True)
class Runner:
    """A feed that goes on from turn to turn, and the batches that it makes ahead at most."""

    feed: Feed
    n_ahead: int
    batch_size: int

    def turn(self, seconds: float) -> float:
        """Return images/s of a window; what is made ahead after it is made before this returns."""
        speed = measure(self.feed, self.n_ahead, seconds, self.n_ahead)
        time.sleep(1.2 * self.n_ahead * self.batch_size / speed)
        return speed


def take_turns(
    runners: Mapping[str, Runner],
    seconds: float,
    n_turns: int,
    into: dict[str, list[float]],
    on_turn: Callable[[], None] = lambda: None,
) -> None:
    """Measure one after the other, `n_turns` times, so that all meet the same machine; images/s go `into` a list each.

    Raises DataError if one of the others cannot read the files.
    """
    for _ in range(n_turns):
        for name, runner in runners.items():
            try:
                into.setdefault(name, []).append(runner.turn(seconds))
            except ClfctlError:
                raise
            except Exception as error:  # of another program's, which is not known
                reason = str(error).strip().splitlines()[-1:] or [""]
                raise DataError(f"{name} stopped: {type(error).__name__} {reason[0][:200]}") from error
            on_turn()
