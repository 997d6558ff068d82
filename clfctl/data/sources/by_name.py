"""Data sets known by name: scikit-learn's digits, and what torchvision can download."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from clfctl.data.sources.base import ArrayImages, Opened, TorchvisionImages
from clfctl.data.sources.idx import find_idx, open_idx
from clfctl.data.sources.names import DIGITS, TORCHVISION, NamedData
from clfctl.errors import DataError, first_line
from clfctl.settings.data import ImageSettings


def open_digits() -> Opened:
    """Open the scans that come with scikit-learn."""
    from sklearn.datasets import load_digits  # half a second, only for the data that needs it

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)  # scans of 17 grey levels
    source = ArrayImages(DIGITS, images, digits.target.tolist())
    return Opened(tuple("0123456789"), source, is_small=True)


def open_torchvision(name: str, settings: ImageSettings) -> Opened:
    """Open a torchvision data set by its name here, downloaded if it may be. Raises DataError if it is not there."""
    named = TORCHVISION[name]
    if named.is_idx:
        return _open_idx(name, named, settings)
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
    return Opened(classes, sources[0], val, test, is_small=name.startswith(("cifar", "svhn")))


def _open_idx(name: str, named: NamedData, settings: ImageSettings) -> Opened:
    files = [find_idx(name, named.class_name, settings.data_dir, part) for part in ("train", "test")]
    if None in files and settings.download:
        _torchvision(name, named, settings, train=True)
        files = [find_idx(name, named.class_name, settings.data_dir, part) for part in ("train", "test")]
    train, test = files
    if train is None or test is None:
        raise _not_there(name, settings)
    return open_idx(name, train, test)


def _torchvision(name: str, named: NamedData, settings: ImageSettings, **part: Any) -> Any:
    import torchvision  # seconds, only for the data sets that need it

    try:
        return getattr(torchvision.datasets, named.class_name)(settings.data_dir, download=settings.download, **part)
    except ModuleNotFoundError as error:
        hint = "pip install 'clfctl[datasets]'"
        raise DataError(f"{name} needs the package {error.name}", hint, field="data") from None
    except (RuntimeError, OSError) as error:  # what torchvision raises for files that are missing, torn or unreachable
        if not settings.download:
            raise _not_there(name, settings) from None
        reason = first_line(error)
        hint = f"try again, or put it into {settings.data_dir} yourself"
        raise DataError(f"{name} could not be downloaded: {reason}", hint, field="data") from None


def _not_there(name: str, settings: ImageSettings) -> DataError:
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
