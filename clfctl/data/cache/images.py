"""Images that are decoded once: upright, RGB, scaled to a bit more than training needs, kept in memory or a file."""

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from clfctl.data.ahead import work_ahead
from clfctl.data.cache.file import SUFFIX, Seal
from clfctl.data.cache.key import content_digest
from clfctl.data.loader import BadImages, compute_alone, read_or_note
from clfctl.data.pixels.decode import Pixels, orientation_of, see_and_close, upright_size
from clfctl.data.pixels.fit import Scaling
from clfctl.data.pixels.transform import stored_size, to_stored
from clfctl.data.pixels.unreadable import BAD_IMAGE_ERRORS
from clfctl.data.sources.base import Data, FileImages, ImageSource
from clfctl.data.sources.names import DATA_NAMES

AT_ONCE, AHEAD = 16, 3
# Headers that are read to estimate how much room a cache will need.
N_LOOKED_AT = 64
Stored = Pixels | None


class Pictures(Protocol):
    """Stored pictures by the number of their image; None for one that is not stored."""

    def __getitem__(self, index: int, /) -> Stored: ...


@dataclass(frozen=True)
class CachedImages:
    """The images of a source as a cache stores them; those that are not in it are made when they are asked for.

    So an image that could not be read when the cache was made fails again, or is read after all, as without a cache.
    """

    source: ImageSource
    pictures: Pictures
    scaling: Scaling

    @property
    def labels(self) -> Sequence[int]:
        """The source's labels."""
        return self.source.labels

    def open(self, index: int) -> Pixels:
        """Return (H, W, 3) uint8 RGB. Raises what the source or the decoder does for one that is not stored."""
        stored = self.pictures[index]
        if stored is not None:
            return stored
        return see_and_close(self.source.open(index), partial(to_stored, scaling=self.scaling))

    def name(self, index: int) -> str:
        """Return what the source calls the image."""
        return self.source.name(index)


class NoPictures:
    """What a cache has before it is made: CachedImages with these shows what it will hold."""

    def __getitem__(self, index: int, /) -> Stored:
        return None


@dataclass(frozen=True, eq=False)
class Wanted:
    """What to cache: the images of `source` with numbers `indices` (n,), ascending, scaled by `scaling`.

    `title` and `place` tell it from other data, for people and for sure; neither depends on what the images are.
    """

    source: ImageSource
    indices: NDArray[np.int64]
    scaling: Scaling
    title: str
    place: str

    @property
    def seal(self) -> Seal:
        """What the file of this cache says of itself; stats every file."""
        scaling, digest = self.scaling, content_digest(self.source, self.indices)
        if not scaling.is_plain:  # what is plain has the name that it had before there was a choice
            digest = xxhash.xxh3_128_digest(digest + str(scaling).encode())
        return Seal(digest, len(self.source.labels), min(scaling.height, scaling.width))

    def stem(self) -> str:
        """Return how the name of each cache of this data and size begins, whatever the images were."""
        return f"{self.title}-{self.scaling}-{xxhash.xxh3_64_hexdigest(self.place.encode())[:8]}"

    def file_name(self, seal: Seal) -> str:
        """Return the name of the file of this cache."""
        return f"{self.stem()}-{seal.digest.hex()[:16]}{SUFFIX}"

    def n_bytes(self) -> int:
        """Return how many bytes it will need, from the headers of some images."""
        some = self.indices[:: max(1, len(self.indices) // N_LOOKED_AT)].tolist()
        known = [size for index in some if (size := _stored_bytes(self.source, index, self.scaling))]
        return int(np.mean(known) * len(self.indices)) if known else 0


def wanted(data: Data, scaling: Scaling, where: str, max_per_class: int) -> list[Wanted]:
    """Return what to cache, for training and then for validation; once for both where they share a source.

    `where` is what the setting `data` names.
    """
    title = re.sub(r"[^\w.-]+", "-", Path(where).name)[:40].strip("-.") or "data"
    is_named = where in DATA_NAMES and not isinstance(data.train.source, FileImages)
    folder = where if is_named else os.path.abspath(Path(where))  # follows no link
    train, val = (np.unique(np.asarray(part.indices, np.int64)) for part in (data.train, data.val))
    if data.val.source is data.train.source:
        # All of them, so that another split of the same images needs no other cache.
        return [Wanted(data.train.source, np.union1d(train, val), scaling, title, f"{folder}\n{max_per_class}")]
    return [
        Wanted(data.train.source, train, scaling, f"{title}-train", f"{folder}\n{max_per_class}\ntrain"),
        Wanted(data.val.source, val, scaling, f"{title}-val", f"{folder}\nval"),
    ]


def stored_pictures(
    what: Wanted, bad_images: BadImages, workers: int, on_images: Callable[[int], None]
) -> Iterator[Stored]:
    """Yield the picture of every image of the source in order, None for those that are not wanted or cannot be read.

    Threads decode some ahead. `on_images` is told, in this thread, how many more are done. Raises DataError where
    `bad_images` does.
    """
    done = -1
    for index, picture in _decoded(what, bad_images, workers, on_images):
        yield from (None for _ in range(done + 1, index))
        yield picture
        done = index
    yield from (None for _ in range(done + 1, len(what.source.labels)))


def _decoded(
    what: Wanted, bad_images: BadImages, workers: int, on_images: Callable[[int], None]
) -> Iterator[tuple[int, Stored]]:
    """Yield number and picture of each wanted image, in order."""
    see = partial(to_stored, scaling=what.scaling)

    def decode(indices: NDArray[np.int64]) -> list[tuple[int, Stored]]:
        return [(index, read_or_note(what.source, index, bad_images, see)) for index in indices.tolist()]

    jobs = (what.indices[at : at + AT_ONCE] for at in range(0, len(what.indices), AT_ONCE))
    for pictures in work_ahead(
        decode, jobs, workers=workers, n_ahead=workers * AHEAD, name="cache", begin_thread=compute_alone
    ):
        yield from pictures
        on_images(len(pictures))


def in_memory(pictures: Iterator[Stored]) -> list[Stored]:
    """Return all pictures, each in memory of its own that cannot be written to, as those of a file."""
    kept: list[Stored] = []
    for picture in pictures:
        if picture is not None:
            # Of a part of a larger picture all of it would stay.
            picture = picture if picture.base is None else picture.copy()
            picture.flags.writeable = False
        kept.append(picture)
    return kept


def _stored_bytes(source: ImageSource, index: int, scaling: Scaling) -> int:
    """Return the bytes of an image in the cache, 0 if its header cannot be read."""
    try:
        width, height = see_and_close(source.open(index), lambda image: upright_size(image, orientation_of(image)))
    except BAD_IMAGE_ERRORS:
        return 0
    return 3 * math.prod(stored_size(width, height, scaling))
