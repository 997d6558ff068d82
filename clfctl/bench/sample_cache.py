"""What bench-data measures caches with: a cache of the sample only, made where the real one would lie."""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from clfctl.bench.advice import CacheFacts
from clfctl.bench.windows import Sample
from clfctl.data.cache.file import SUFFIX, open_pictures, pieces
from clfctl.data.cache.folder import free_disk, free_memory, images_folder
from clfctl.data.cache.images import CachedImages, Pictures, Wanted, in_memory, stored_pictures, wanted
from clfctl.data.loader import BadImages
from clfctl.data.pixels.transform import Preprocess
from clfctl.data.sources.base import Data
from clfctl.data.workers import n_cores
from clfctl.errors import DataError
from clfctl.settings.data import DataSettings
from clfctl.storage.files import explained, replace_file

CacheKind = Literal["ram", "disk"]


@dataclass(frozen=True)
class SampleCache:
    """The images of the sample as a cache of `kind` stores them, and what one of all images would cost."""

    kind: CacheKind
    source: CachedImages
    facts: CacheFacts


def make_sample_cache(
    kind: CacheKind,
    settings: DataSettings,
    data: Data,
    sample: Sample,
    preprocess: Preprocess,
    bad_images: BadImages,
    on_images: Callable[[int], None],
) -> SampleCache:
    """Decode the sample into memory or a mapped file, as train does with all images; `on_images` counts them.

    Raises WriteError or DataError if it cannot be written, or read again.
    """
    scaling, source = preprocess.scaling, sample.part.source
    some = Wanted(source, np.unique(np.asarray(sample.part.indices, np.int64)), scaling, "sample", "")
    folder = images_folder(settings.cache_dir)
    started = time.perf_counter()
    made = _in_file(some, folder, bad_images, on_images) if kind == "disk" else _in_memory(some, bad_images, on_images)
    seconds = (time.perf_counter() - started) / len(some.indices)
    every = wanted(data, scaling, settings.data, settings.max_per_class)
    memory = free_memory()
    memory = sys.maxsize if memory is None else memory
    facts = CacheFacts(
        n_bytes=sum(each.n_bytes() for each in every),
        build_s=seconds * sum(len(each.indices) for each in every),
        free=free_disk(folder) if kind == "disk" else memory,
        memory=memory,
    )
    return SampleCache(kind, CachedImages(source, made, scaling), facts)


def _in_memory(what: Wanted, bad_images: BadImages, on_images: Callable[[int], None]) -> Pictures:
    return in_memory(stored_pictures(what, bad_images, n_cores(), on_images))


def _in_file(what: Wanted, folder: Path, bad_images: BadImages, on_images: Callable[[int], None]) -> Pictures:
    # The folder is gone as soon as the file is mapped: whatever ends this process then, nothing stays behind. Windows
    # keeps the file as long as it is mapped.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder, ignore_cleanup_errors=True) as place:
        path, seal = Path(place) / f"sample{SUFFIX}", what.seal
        with explained(path):
            replace_file(path, pieces(seal, stored_pictures(what, bad_images, n_cores(), on_images)))
        if (found := open_pictures(path, seal)) is None:
            raise DataError(f"{path}, which was just written, cannot be read", "check the disk")
        return found
