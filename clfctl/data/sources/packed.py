"""Data whose images lie inside larger files: shards, Parquet files, and what `save_to_disk` wrote. Opened by parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from clfctl.data.onlookers import no_line
from clfctl.data.sources.base import ImageSource
from clfctl.data.sources.filesets import find_files
from clfctl.data.sources.found import Found, check_trainable, listed
from clfctl.data.sources.hf import index_on_disk, is_on_disk, splits_on_disk
from clfctl.data.sources.names import SHARDS
from clfctl.data.sources.parquet import holds_images, index_parquet
from clfctl.data.sources.parts import PartName
from clfctl.data.sources.shards import index_shards
from clfctl.data.sources.unpacked import unpack_folder
from clfctl.errors import DataError

Files = Mapping[PartName, Sequence[Path]]


@dataclass(frozen=True)
class Packed:
    """A data set that is found but not opened: the files of each part, and what reads some of the parts."""

    root: Path
    parts: Files
    read: Callable[[Files], Found[ImageSource]]
    hint: str
    notes: tuple[str, ...] = ()
    trains_on_any: bool = False  # on the only part that there is, whatever it is called

    @property
    def folder(self) -> Path:
        """The folder in which the names of the classes may be."""
        return self.root if self.root.is_dir() else self.root.parent

    def open(self, part: PartName) -> Found[ImageSource]:
        """Open one part, to measure a model on. Raises DataError if it cannot be read."""
        return self.read({part: self.parts[part]})

    def open_all(self) -> Found[ImageSource]:
        """Open what is there to train on; test images that cannot be read are left out.

        Raises DataError if the others cannot be read, or cannot be trained on.
        """
        parts = self.parts
        if "train" not in parts and len(parts) == 1 and self.trains_on_any:
            parts = {"train": next(iter(parts.values()))}  # a folder of shards whose names speak of one part alone
        try:
            found = self.read(parts)
        except DataError as error:
            rest: Files = {part: files for part, files in parts.items() if part != "test"}
            if len(rest) == len(parts) or not rest:
                raise
            found = self.read(rest)
            found = replace(found, left_out={**found.left_out, "test": error.message})
        check_trainable(found, self.root, self.hint)
        return replace(found, notes=(*self.notes, *found.notes))


def find_packed(root: Path, cache_dir: Path | None, tell: Callable[[str], None] = no_line) -> Packed | None:
    """Return the data set that a path names, None if its images are files of their own.

    What has to be unpacked is unpacked into a folder in `cache_dir`; `tell` takes a line before that. Raises
    DataError for several data sets in one.
    """
    if is_on_disk(root):
        parts, others = splits_on_disk(root)
        notes = (f"splits of {root} that are not used: {listed(others)}",) if others else ()
        hint = "train on a split called train"
        return Packed(root, parts, partial(index_on_disk, root), hint, notes)
    folder = unpack_folder(cache_dir)
    if shards := find_files(root, SHARDS):
        hint = "the name or folder of a shard says which part it belongs to, as in train-0001.tar"
        return Packed(root, shards, lambda files: index_shards(files, folder, tell), hint, trains_on_any=True)
    files = find_files(root, (".parquet",))
    if files and (root.is_dir() or holds_images(root)):
        hint = "the name or folder of a file says which part it belongs to, as in train-00000-of-00001.parquet"
        return Packed(root, files, lambda some: index_parquet(root, some, folder), hint)
    return None
