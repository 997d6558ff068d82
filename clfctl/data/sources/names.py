"""The data sets that are known by name: what torchvision calls them and how it splits them. No torch here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DIGITS = "digits"
# Scans of each digit, so that a preview need not open them.
DIGITS_PER_CLASS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
# How files end that are data by themselves: tables of images, and WebDataset shards; packed ones are unpacked.
_PACKED = ("", ".gz", ".bz2", ".xz")
TABLES = (*(f"{kind}{packed}" for kind in (".csv", ".tsv") for packed in _PACKED), ".parquet")
SHARDS = (*(f".tar{packed}" for packed in _PACKED), ".tgz")

# Other loaders that bench-data compares with: the module, and what to install for it.
RIVALS = {"torchvision": ("torchvision", "torchvision"), "dali": ("nvidia.dali", "nvidia-dali-cuda120")}


@dataclass(frozen=True)
class NamedData:
    """A torchvision data set: its class, and the argument by which that class opens one part or another."""

    class_name: str
    parts: Literal["train=bool", "split=train|test", "split=train|val|test", "split=trainval|test", "whole"]
    is_idx: bool = False


TORCHVISION: dict[str, NamedData] = {
    "mnist": NamedData("MNIST", "train=bool", is_idx=True),
    "fashion-mnist": NamedData("FashionMNIST", "train=bool", is_idx=True),
    "kmnist": NamedData("KMNIST", "train=bool", is_idx=True),
    "cifar10": NamedData("CIFAR10", "train=bool"),
    "cifar100": NamedData("CIFAR100", "train=bool"),
    "svhn": NamedData("SVHN", "split=train|test"),
    "stl10": NamedData("STL10", "split=train|test"),
    "food101": NamedData("Food101", "split=train|test"),
    "gtsrb": NamedData("GTSRB", "split=train|test"),
    "flowers102": NamedData("Flowers102", "split=train|val|test"),
    "dtd": NamedData("DTD", "split=train|val|test"),
    "fgvc-aircraft": NamedData("FGVCAircraft", "split=train|val|test"),
    "oxford-iiit-pet": NamedData("OxfordIIITPet", "split=trainval|test"),
    "eurosat": NamedData("EuroSAT", "whole"),
    "caltech101": NamedData("Caltech101", "whole"),
}

DATA_NAMES: tuple[str, ...] = (DIGITS, *TORCHVISION)


def is_named(data: str, data_dir: Path, base: Path = Path()) -> bool:
    """Return whether `data` means a data set known by name, and not a folder: a folder here of that name goes first.

    What torchvision has downloaded to `data_dir` is the data set itself. Relative paths start from `base`.
    """
    return data in DATA_NAMES and not _is_folder(base / data, base / data_dir)


def about_name(data: str, data_dir: Path) -> tuple[str, ...]:
    """Return a sentence where a folder here is called like a data set known by name, so that `data` could mean both."""
    if data not in DATA_NAMES or not _is_folder(Path(data), data_dir):
        return ()
    return (f"{data} is the folder {data}/ here, not the data set of that name; for that, rename the folder",)


def _is_folder(folder: Path, data_dir: Path) -> bool:
    try:
        return folder.is_dir() and not (data_dir / folder.name).samefile(folder)
    except OSError:  # data_dir has no folder of this name
        return True
