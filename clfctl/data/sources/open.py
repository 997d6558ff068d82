"""From the `data` setting to the training, validation and test images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clfctl.data.sources.base import ArrayImages, Data, FileImages, ImageSource, Part, TorchvisionImages
from clfctl.data.sources.hf import index_on_disk, is_on_disk
from clfctl.data.sources.idx import find_idx, read_idx
from clfctl.data.sources.index import Listing, index_folder, readable_names
from clfctl.data.sources.manifest import is_manifest, read_manifest
from clfctl.data.sources.names import DATA_NAMES, DIGITS, TORCHVISION, NamedData
from clfctl.data.sources.shards import find_shards, index_shards
from clfctl.data.sources.splits import limit_classes, stratified_split
from clfctl.errors import DataError, UsageError, nearest
from clfctl.settings.groups import DataSettings


def open_data(settings: DataSettings, seed: int) -> Data:
    """Open what `settings.data` names, and split off validation images where it has none of its own.

    Raises UsageError for a name or folder that does not exist, DataError for data that cannot be trained on.
    """
    root = Path(settings.data).expanduser()
    if settings.data == DIGITS:
        data = _split(_digits(), None, None, settings, seed, tuple("0123456789"), is_small=True)
    elif settings.data in TORCHVISION:
        data = _open_named(settings.data, TORCHVISION[settings.data], settings, seed)
    elif is_on_disk(root):
        arrow = index_on_disk(root)
        data = _split(arrow.train, arrow.val, arrow.test, settings, seed, readable_names(root, arrow.classes))
    elif shards := find_shards(root):
        index = index_shards(shards)
        classes = readable_names(shards[0].parent, index.classes)
        data = _split(index.train, index.val, index.test, settings, seed, classes)
    else:
        data = _open_files(settings, seed)
    data = replace(data, train=limit_classes(data.train, settings.max_per_class, seed))
    if settings.batch_size > len(data.train):
        raise UsageError(
            f"{settings.batch_size} is more than the {len(data.train)} training images",
            f"give at most {len(data.train)}",
            field="batch_size",
        )
    return data


def _open_files(settings: DataSettings, seed: int) -> Data:
    root = Path(settings.data).expanduser()
    if is_manifest(settings.data):
        index, folder = read_manifest(root), root.parent
    else:
        close = nearest(settings.data, DATA_NAMES)
        if not root.exists() and "/" not in settings.data:
            what = f"{settings.data} is neither a folder nor the name of a data set"
            raise UsageError(what, close or f"the names are {', '.join(DATA_NAMES)}", field="data")
        index, folder = index_folder(root), root

    def source(listing: Listing | None) -> FileImages | None:
        return FileImages(listing.paths, listing.labels, listing.weights) if listing else None

    train = FileImages(index.train.paths, index.train.labels, index.train.weights)
    classes = readable_names(folder, index.classes)
    return _split(train, source(index.val), source(index.test), settings, seed, classes)


def _split(
    train: ImageSource,
    val: ImageSource | None,
    test: ImageSource | None,
    settings: DataSettings,
    seed: int,
    classes: tuple[str, ...],
    is_small: bool = False,
) -> Data:
    test_part = _whole(test) if test else None
    if val:
        return Data(classes, _whole(train), _whole(val), test_part, is_small)
    kept, held_out = stratified_split(train.labels, settings.val_split, seed, classes)
    return Data(classes, Part(train, kept), Part(train, held_out), test_part, is_small)


def _whole(source: ImageSource) -> Part:
    return Part(source, range(len(source.labels)))


def _digits() -> ArrayImages:
    from sklearn.datasets import load_digits  # half a second, only for the data that needs it

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)  # scans of 17 grey levels
    return ArrayImages(DIGITS, images, digits.target.tolist())


def _open_named(name: str, named: NamedData, settings: DataSettings, seed: int) -> Data:
    if named.is_idx:
        return _open_idx(name, named, settings, seed)
    match named.parts:
        case "train=bool":
            parts = [_torchvision(name, named, settings, train=flag) for flag in (True, False)]
        case "whole":
            parts = [_torchvision(name, named, settings)]
        case _:
            splits = named.parts.removeprefix("split=").split("|")
            parts = [_torchvision(name, named, settings, split=split) for split in splits]
    sources = [TorchvisionImages(name, part, _labels(part)) for part in parts]
    classes = _classes(parts[0], sources[0].labels)
    val = sources[1] if len(sources) == 3 else None
    test = sources[-1] if len(sources) > 1 else None
    return _split(sources[0], val, test, settings, seed, classes, is_small=name.startswith(("cifar", "svhn")))


def _open_idx(name: str, named: NamedData, settings: DataSettings, seed: int) -> Data:
    files = [find_idx(name, named.class_name, settings.data_dir, part) for part in ("train", "test")]
    if None in files and settings.download:
        _torchvision(name, named, settings, train=True)
        files = [find_idx(name, named.class_name, settings.data_dir, part) for part in ("train", "test")]
    sources = []
    for pair in files:
        if pair is None:
            raise _not_there(name, settings)
        images, labels = (read_idx(path) for path in pair)
        if len(images) != len(labels):
            raise DataError(f"{pair[0]} has {len(images)} images and {pair[1].name} {len(labels)} labels")
        sources.append(ArrayImages(name, images, labels.tolist()))
    n_classes = max(sources[0].labels) + 1
    classes = IDX_CLASSES.get(name, tuple(map(str, range(n_classes))))
    return _split(sources[0], None, sources[1], settings, seed, classes, is_small=True)


IDX_CLASSES = {
    "fashion-mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}  # fmt: skip


def _torchvision(name: str, named: NamedData, settings: DataSettings, **part: Any) -> Any:
    import torchvision  # seconds, only for the data sets that need it

    try:
        return getattr(torchvision.datasets, named.class_name)(settings.data_dir, download=settings.download, **part)
    except ModuleNotFoundError as error:
        hint = "pip install 'clfctl[datasets]'"
        raise DataError(f"{name} needs the package {error.name}", hint, field="data") from None
    except (RuntimeError, OSError) as error:  # what torchvision raises for files that are missing, torn or unreachable
        if not settings.download:
            raise _not_there(name, settings) from None
        reason = str(error).splitlines()[0]
        hint = f"try again, or put it into {settings.data_dir} yourself"
        raise DataError(f"{name} could not be downloaded: {reason}", hint, field="data") from None


def _not_there(name: str, settings: DataSettings) -> DataError:
    hint = "download it with `download=True`, or say where it is with `data_dir=`"
    return DataError(f"{name} is not in {settings.data_dir}", hint, field="data")


def _labels(data: Any) -> list[int]:
    """Return the labels of a torchvision data set; its classes keep them under one of four names."""
    for attribute in ("targets", "labels", "_labels", "y"):
        if (labels := getattr(data, attribute, None)) is not None:
            return [int(label) for label in labels]
    return [int(label) for _, label in data._samples]


def _classes(data: Any, labels: Sequence[int]) -> tuple[str, ...]:
    names = getattr(data, "classes", None) or getattr(data, "categories", None)
    return tuple(map(str, names)) if names else tuple(str(number) for number in range(max(labels) + 1))
