"""Batches of images, made by threads ahead of the model; any epoch may start at any batch."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from clfctl.data.ahead import work_ahead
from clfctl.data.keys import AUGMENT, ORDER, hash_key, order_of, times_before
from clfctl.data.pixels.decode import Picture, T, see_and_close
from clfctl.data.pixels.transform import Augmentation, Preprocess, to_augmented_pixels, to_pixels
from clfctl.data.pixels.unreadable import BAD_IMAGE_ERRORS, is_too_many, reason_of
from clfctl.data.pixels.views import Crop, crop_pixels
from clfctl.data.sources.base import ImageSource, Part
from clfctl.data.sources.size import count_batches
from clfctl.data.whole import Whole, share_of
from clfctl.errors import DataError
from clfctl.settings.data import BadImagePolicy

AHEAD = 2


def compute_alone() -> None:
    """Let what torch computes in this thread stay in it, whatever it may use elsewhere.

    Else each would wake helpers of its own for a picture of 224 pixels, beside the threads that decode.
    """
    torch.get_num_threads()  # the first time in a thread it sets the number; after that, what is set stays
    ThreadpoolController().limit(limits=1, user_api="openmp")


@dataclass
class BadImages:
    """The images that could not be read, {name: reason}; raises once there are too many to be an accident."""

    policy: BadImagePolicy
    n_images: int
    found: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, error: Exception) -> None:
        """Note an image. Raises DataError if the policy is to stop, or if more than 5 % (and 3) are bad."""
        reason = reason_of(error, name)
        if self.policy == "error":
            raise DataError(f"{name} cannot be read: {reason}", "`on_bad_image=skip` leaves such images out")
        with self._lock:
            self.found[name] = reason
        if too_many := self._too_many():
            raise too_many

    def learn(self, found: Mapping[str, str]) -> DataError | None:
        """Take what other processes found; return the error of too many."""
        with self._lock:
            self.found |= found
        return self._too_many()

    def _too_many(self) -> DataError | None:
        n_bad = len(self.found)
        if not is_too_many(n_bad, self.n_images):
            return None
        name, reason = [*self.found.items()][-1]
        return DataError(
            f"{n_bad} of {self.n_images} images cannot be read, the last one {name}: {reason}",
            "so many bad images are unlikely to be chance; clfctl check-data shows what is wrong with each",
        )


def read_or_note(source: ImageSource, index: int, bad_images: BadImages, see: Callable[[Picture], T]) -> T | None:
    """Return what `see` makes of an image; None if it cannot be read, which `bad_images` then notes.

    Raises DataError for a crash, with the image's name, and where `bad_images` does.
    """
    try:
        return see_and_close(source.open(index), see)
    except BAD_IMAGE_ERRORS as error:
        bad_images.add(source.name(index), error)
        return None
    except Exception as error:
        what = f"{type(error).__name__} {error}".strip()
        hint = "try again, as with clfctl resume from the last save; if it fails there again, remove the image"
        if isinstance(error, MemoryError):
            hint = "fewer `workers=` or a smaller `batch_size=` need less; clfctl resume goes on from the last save"
        raise DataError(f"reading {source.name(index)} failed: {what}", hint) from error


@dataclass(frozen=True)
class Batch:
    """`images` (B, 3, H, W) uint8 in channels-last memory, `labels` (B,) int64; B may be 0 if every image was bad.

    `indices` are the images' numbers in their source. `whole` is what this is a process's share of, None: all of it.
    """

    images: torch.Tensor
    labels: torch.Tensor
    indices: Sequence[int]
    whole: Whole | None = None

    @property
    def n_images(self) -> int:
        """Images of the whole batch."""
        return self.whole.n_images if self.whole else len(self.labels)


@dataclass(frozen=True)
class Loader:
    """The batches of a part of the data.

    With `shuffle_seed` every epoch has an order of its own, drawn from (seed, epoch). With `augment` each image is
    drawn from (seed, epoch, index). Neither depends on `workers`. With `crop` an image is not seen as validation does.

    `batch_size` and `n_batches` are those of all `n_ranks` processes together; of each batch this one gets the images
    in a row that fall to its `rank`, one in `n_ranks`.
    """

    part: Part
    preprocess: Preprocess
    batch_size: int
    workers: int
    bad_images: BadImages
    shuffle_seed: int | None = None
    augment: Augmentation | None = None
    pin_memory: bool = False
    crop: Crop | None = None
    rank: int = 0
    n_ranks: int = 1

    @property
    def n_batches(self) -> int:
        """Batches of an epoch."""
        return count_batches(len(self.part), self.batch_size, is_shuffled=self.shuffle_seed is not None)

    def of_all(self) -> "Loader":
        """Return a loader of the batches of all processes."""
        return self if self.n_ranks == 1 else replace(self, rank=0, n_ranks=1)

    def reading(self, source: ImageSource) -> "Loader":
        """Return a loader of the same images from another source of them, such as one with a cache before it."""
        return replace(self, part=replace(self.part, source=source))

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from batch `start` on; the earlier ones are not read."""
        order = self._order(epoch)
        # Of an image that an epoch shows twice, two different crops are to be seen.
        times = times_before(order) if self.part.chances is not None else np.zeros_like(order)
        jobs = self._cut(np.stack([order, times], axis=1), start)
        if self.workers == 0:
            threads = ThreadpoolController()
            for each in jobs:
                with threads.limit(limits=1, user_api="openmp"):
                    batch = self._load(each, epoch)
                yield batch
            return
        yield from work_ahead(
            partial(self._load, epoch=epoch),
            jobs,
            workers=self.workers,
            n_ahead=self.workers + AHEAD,
            name="loader",
            begin_thread=compute_alone,
        )

    def drawn(self, epoch: int = 0, start: int = 0) -> Iterator[NDArray[np.int64]]:
        """Yield the numbers of the images that `batches` would read, (B,), whether they can be read or not."""
        return self._cut(self._order(epoch), start)

    def _cut(self, drawn: NDArray[np.int64], start: int) -> Iterator[NDArray[np.int64]]:
        """Yield what of an epoch's draws, one a row, goes into each batch of this process, from batch `start` on."""
        for first in range(start * self.batch_size, self.n_batches * self.batch_size, self.batch_size):
            batch = drawn[first : first + self.batch_size]
            yield batch[share_of(len(batch), self.rank, self.n_ranks)]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        indices = np.asarray(self.part.indices, dtype=np.int64)
        if self.shuffle_seed is None:
            return indices
        shuffled: NDArray[np.int64] = indices[
            order_of(len(indices), self.part.chances, ORDER, self.shuffle_seed, epoch)
        ]
        return shuffled

    def _load(self, draws: NDArray[np.int64], epoch: int) -> Batch:
        """Return a batch of (index, times it was drawn before in this epoch), (B, 2)."""
        pixels = np.empty((len(draws), *self.preprocess.size, 3), np.uint8)
        labels: list[int] = []
        read: list[int] = []
        for index, times in draws.tolist():
            see = partial(self._pixels, key=(epoch, index, times) if times else (epoch, index))
            seen = read_or_note(self.part.source, index, self.bad_images, see)
            if seen is not None:
                pixels[len(labels)] = seen
                labels.append(self.part.source.labels[index])
                read.append(index)
        images = torch.from_numpy(pixels[: len(labels)]).permute(0, 3, 1, 2)
        target = torch.tensor(labels, dtype=torch.int64)
        if self.pin_memory:
            return Batch(images.pin_memory(), target.pin_memory(), read)
        return Batch(images, target, read)

    def _pixels(self, image: Picture, key: tuple[int, ...]) -> NDArray[np.uint8]:
        if self.augment is None:
            return crop_pixels(image, self.preprocess, self.crop) if self.crop else to_pixels(image, self.preprocess)
        return to_augmented_pixels(
            image, self.preprocess, hash_key(AUGMENT, self.shuffle_seed or 0, *key), self.augment
        )
