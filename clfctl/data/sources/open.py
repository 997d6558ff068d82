"""From the `data` setting to the training, validation and test images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from clfctl.data.onlookers import no_line
from clfctl.data.sources.base import Data, FileImages, ImageSource, Opened, Part
from clfctl.data.sources.by_name import open_digits, open_torchvision
from clfctl.data.sources.folder import index_folder
from clfctl.data.sources.found import Found
from clfctl.data.sources.groups import about_groups, about_shared, grouped_split, groups_of
from clfctl.data.sources.idx import idx_pair, open_idx
from clfctl.data.sources.index import Listing, readable_names
from clfctl.data.sources.manifest import is_manifest, open_table
from clfctl.data.sources.names import DATA_NAMES, DIGITS, about_name, is_named
from clfctl.data.sources.packed import find_packed
from clfctl.data.sources.size import check_batch_size
from clfctl.data.sources.splits import about_singles, limit_classes, stratified_split
from clfctl.errors import UsageError, nearest
from clfctl.settings.data import ImageSettings
from clfctl.settings.running import RunsDirSettings


def open_data(settings: ImageSettings, seed: int, tell: Callable[[str], None] = no_line) -> Data:
    """Open what `settings.data` names, and split off validation images where it has none of its own.

    `tell` takes a line before something that takes long. A batch size that is not stated anywhere may be more than the
    training images: see `size.fit_batch_size`.
    Raises UsageError for a name or folder that does not exist, DataError for data that cannot be trained on.
    """
    opened = _open(settings, tell)
    data = replace(_split(opened, settings, seed), is_small=opened.is_small, left_out=opened.left_out)
    data = replace(data, train=limit_classes(data.train, settings.max_per_class, seed))
    check_batch_size(settings, len(data.train))
    return data


def runs_dir_of(settings: ImageSettings) -> Path:
    """Return the folder that holds the runs, which is not data wherever it lies."""
    return settings.runs_dir if isinstance(settings, RunsDirSettings) else RunsDirSettings().runs_dir


def _open(settings: ImageSettings, tell: Callable[[str], None]) -> Opened:
    root = Path(settings.data)
    if is_named(settings.data, settings.data_dir):
        return open_digits() if settings.data == DIGITS else open_torchvision(settings.data, settings)
    if packed := find_packed(root, settings.cache_dir, tell):
        return _opened(packed.open_all(), packed.folder)
    if is_manifest(settings.data):
        return _opened(open_table(root, settings.group_by), root.parent)
    if pair := idx_pair(root, "train"):  # as Debian's dataset-fashion-mnist lays them down
        idx = open_idx(root.name.lower(), pair, idx_pair(root, "test"))
        return replace(idx, classes=readable_names(root, idx.classes))
    return _open_files(settings)


def _open_files(settings: ImageSettings) -> Opened:
    root = Path(settings.data)
    if not root.exists() and "/" not in settings.data:
        what = f"{settings.data} is neither a folder nor the name of a data set"
        hint = nearest(settings.data, DATA_NAMES) or f"the names are {', '.join(DATA_NAMES)}"
        raise UsageError(what, hint, field="data")
    index = index_folder(root, runs_dir_of(settings))

    def source(listing: Listing | None) -> FileImages | None:
        return FileImages(listing.paths, listing.labels, listing.weights) if listing else None

    train = FileImages(index.train.paths, index.train.labels, index.train.weights)
    notes = (*about_name(settings.data, settings.data_dir), *index.notes)
    classes = readable_names(root, index.classes)
    return Opened(classes, train, source(index.val), source(index.test), notes=notes, left_out=index.left_out)


def _opened(found: Found[ImageSource], folder: Path) -> Opened:
    parts, classes = found.parts, readable_names(folder, found.classes)
    return Opened(classes, parts["train"], parts.get("val"), parts.get("test"), notes=found.all_notes())


def _split(opened: Opened, settings: ImageSettings, seed: int) -> Data:
    train, classes = opened.train, opened.classes
    test = _whole(opened.test) if opened.test else None
    groups = groups_of(train, settings)
    if opened.val:
        shared = about_shared(opened.train, opened.val, settings)
        return Data(
            classes, replace(_whole(train), groups=groups), _whole(opened.val), test, notes=(*opened.notes, *shared)
        )
    if groups is None:
        kept, held_out = stratified_split(train.labels, settings.val_split, seed)
        about = about_singles(train.labels, classes)
    else:
        kept, held_out = grouped_split(train.labels, groups, settings.val_split, seed)
        about = about_groups(train.labels, groups, classes)
    notes = (*opened.notes, *(about if held_out else ()))
    return Data(classes, Part(train, kept, groups=groups), Part(train, held_out), test, notes=notes)


def _whole(source: ImageSource) -> Part:
    return Part(source, range(len(source.labels)))
