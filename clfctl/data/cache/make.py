"""The sources that training reads from, behind a cache in memory or on disk that is made if need be."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clfctl.data.cache.file import Seal, open_pictures, pieces
from clfctl.data.cache.folder import (
    free_disk,
    free_memory,
    images_folder,
    lock_for,
    remove_others,
    sweep,
)
from clfctl.data.cache.images import CachedImages, Pictures, Stored, Wanted, in_memory, stored_pictures, wanted
from clfctl.data.loader import BadImages
from clfctl.data.onlookers import Onlookers
from clfctl.data.pixels.transform import Preprocess
from clfctl.data.sources.arrow import ArrowImages, LateColumn
from clfctl.data.sources.base import Data, ImageSource
from clfctl.data.workers import n_cores
from clfctl.errors import DataError
from clfctl.settings.data import DataSettings
from clfctl.storage.files import explained, in_bytes, replace_file, temporary_for
from clfctl.storage.lock import Holder, locked_in_turn


@dataclass(frozen=True)
class Sources:
    """What training and validation read their images from."""

    train: ImageSource
    val: ImageSource


@dataclass(frozen=True, eq=False)
class _File:
    """A cache on the disk: what is to be in it, what it says of itself, and where it lies."""

    what: Wanted
    seal: Seal
    path: Path

    def open(self) -> Pictures | None:
        return open_pictures(self.path, self.seal)


def cached_sources(settings: DataSettings, data: Data, preprocess: Preprocess, to: Onlookers) -> Sources:
    """Return the sources of the data, behind the cache that the settings ask for; it is made here if it is not there.

    Raises DataError if it does not fit or too many images are bad, WriteError if it cannot be written.
    """
    _unpack(data, to)
    if settings.cache == "none":
        return Sources(data.train.source, data.val.source)
    kinds = wanted(data, preprocess.scaling, settings.data, settings.max_per_class)
    made = _in_memory(kinds, settings, to) if settings.cache == "ram" else _on_disk(kinds, settings, to)
    cached = [CachedImages(each.source, pictures, each.scaling) for each, pictures in zip(kinds, made, strict=True)]
    return Sources(cached[0], cached[-1])


def describe_cache(settings: DataSettings, data: Data, preprocess: Preprocess) -> list[str]:
    """Return what `cached_sources` would do, a line each, without doing it. Raises DataError if there is no room."""
    if settings.cache == "none":
        return []
    if packed := sum(column.n_bytes for _, column in _not_unpacked(data)):
        # Its size and its name are known when the images are unpacked.
        where = "in memory" if settings.cache == "ram" else str(images_folder(settings.cache_dir))
        return [f"Cache  {where}, to be made when the images are unpacked, about {in_bytes(packed)}"]
    kinds = wanted(data, preprocess.scaling, settings.data, settings.max_per_class)
    if settings.cache == "ram":
        return [f"Cache  in memory, about {in_bytes(_room_in_memory(kinds))}"]
    files = _files(kinds, settings)
    missing = [each for each in files if each.open() is None]
    if missing:
        _check_disk(missing[0].path.parent, sum(each.what.n_bytes() for each in missing))
    words = [
        f"to be made, about {in_bytes(each.what.n_bytes())}" if each in missing else _size_of(each) for each in files
    ]
    return [f"Cache  {file.path}, {word}" for file, word in zip(files, words, strict=True)]


def _unpack(data: Data, to: Onlookers) -> None:
    """Unpack images of Parquet files that are not unpacked yet, where the user sees how far it is."""
    for source, column in _not_unpacked(data):
        with to.bar("Unpacking images", len(source.labels)) as advance:
            column.prepare(advance)


def _not_unpacked(data: Data) -> list[tuple[ArrowImages, LateColumn]]:
    sources = {id(part.source): part.source for part in (data.train, data.val)}
    return [
        (source, source.column)
        for source in sources.values()
        if isinstance(source, ArrowImages) and isinstance(source.column, LateColumn) and source.column.n_bytes
    ]


def _in_memory(kinds: Sequence[Wanted], settings: DataSettings, to: Onlookers) -> list[Pictures]:
    needed = _room_in_memory(kinds)
    n_images = sum(len(each.indices) for each in kinds)
    to.tell(f"Cache  decoding {n_images} images into memory, about {in_bytes(needed)}")
    made: list[Pictures] = []
    for each in kinds:
        with _decoding(each, settings, to) as pictures:
            made.append(in_memory(pictures))
    return made


def _room_in_memory(kinds: Sequence[Wanted]) -> int:
    """Return how many bytes a cache in memory needs. Raises DataError if there are not that many."""
    needed, free = sum(each.n_bytes() for each in kinds), free_memory()
    if free is not None and needed > free:
        hint = "use `cache=disk` or `cache=none`, or a smaller `image_size=`"
        what = f"ram needs about {in_bytes(needed)}, but only {in_bytes(free)} of memory is free"
        raise DataError(what, hint, field="cache")
    return needed


def _check_disk(folder: Path, needed: int) -> None:
    """Raise DataError if there is no room for that many bytes."""
    if needed > (free := free_disk(folder)):
        hint = "free some, choose another `cache_dir=`, or use `cache=none` or a smaller `image_size=`"
        what = f"disk needs about {in_bytes(needed)} in {folder}, but only {in_bytes(free)} is free"
        raise DataError(what, hint, field="cache")


def _files(kinds: Sequence[Wanted], settings: DataSettings) -> list[_File]:
    folder = images_folder(settings.cache_dir)
    seals = [each.seal for each in kinds]
    return [_File(what, seal, folder / what.file_name(seal)) for what, seal in zip(kinds, seals, strict=True)]


def _on_disk(kinds: Sequence[Wanted], settings: DataSettings, to: Onlookers) -> list[Pictures]:
    files = _files(kinds, settings)
    # Room is checked for everything still to be made: rather no file than one of two and then an error.
    needed = {file: file.what.n_bytes() for file in files if not file.open()}
    made = []
    for file in files:
        made.append(_make(file, sum(needed.values()), settings, to) if file in needed else _opened(file, to))
        needed.pop(file, None)
    return made


def _opened(file: _File, to: Onlookers) -> Pictures:
    pictures = file.open()
    if pictures is None:
        raise DataError(f"{file.path}, which was just there, cannot be read", "start again: it will be made again")
    to.tell(f"Cache  {file.path}, {_size_of(file)}")
    return pictures


def _make(file: _File, needed: int, settings: DataSettings, to: Onlookers) -> Pictures:
    """Write a cache, or take the one that another process has written meanwhile."""
    folder, stem = file.path.parent, file.what.stem()
    lock = lock_for(folder, stem)

    def on_wait(holder: Holder) -> None:
        to.tell(f"Cache  waiting for {holder}, which makes it")

    with locked_in_turn(lock, on_wait):
        if file.open():
            return _opened(file, to)
        sweep(folder, lock)
        if removed := remove_others(folder, stem, file.path.name):
            to.tell(f"Cache  removed {in_bytes(removed)} of the images as they were before they changed")
        _check_disk(folder, needed)
        to.tell(f"Cache  making {file.path}: {len(file.what.indices)} images, about {in_bytes(file.what.n_bytes())}")
        with _decoding(file.what, settings, to) as pictures, explained(file.path):
            replace_file(file.path, pieces(file.seal, pictures), temporary=temporary_for(file.path))
        if (found := file.open()) is None:
            raise DataError(f"{file.path}, which was just written, cannot be read", "check the disk")
        return found


@contextmanager
def _decoding(what: Wanted, settings: DataSettings, to: Onlookers) -> Iterator[Iterator[Stored]]:
    """Yield the pictures, and show how many are done."""
    bad = BadImages(settings.on_bad_image, len(what.indices))
    with to.bar("Caching images", len(what.indices)) as advance:
        yield stored_pictures(what, bad, n_cores(), advance)


def _size_of(file: _File) -> str:
    return in_bytes(file.path.stat().st_size)
