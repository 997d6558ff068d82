"""Hugging Face data sets written by `save_to_disk`: Arrow files with a column of images and one of classes."""

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from clfctl.data.pixels.image_file import open_image, read_image
from clfctl.errors import DataError

HINT = "it should be written by save_to_disk of the package datasets, with an Image column and a ClassLabel column"
# What a split may be called; the first that exists is used.
PARTS = {"train": ("train",), "val": ("validation", "valid", "val", "dev"), "test": ("test",)}


@dataclass(frozen=True)
class ArrowImages:
    """Images in memory-mapped Arrow files; `column` is a pyarrow column of {bytes, path}."""

    title: str
    shards: Sequence[Path]
    column: Any
    labels: Sequence[int]

    def open(self, index: int) -> Image.Image:
        """Open an image from its bytes, or from its path where there are none."""
        value = self.column[index]
        content = value["bytes"].as_py()
        return read_image(value["path"].as_py() or "") if content is None else open_image(content)

    def name(self, index: int) -> str:
        """Return the split, the number, and the file name that was stored with the image."""
        return f"{self.title} image {index} {self.column[index]['path'].as_py() or ''}".strip()


@dataclass(frozen=True)
class ArrowIndex:
    """The images of a data set; `val` and `test` are None where it has no such split."""

    classes: tuple[str, ...]
    train: ArrowImages
    val: ArrowImages | None
    test: ArrowImages | None


def is_on_disk(root: Path) -> bool:
    """Return whether a folder was written by `save_to_disk`."""
    return (root / "dataset_dict.json").is_file() or (root / "state.json").is_file()


def index_on_disk(root: Path) -> ArrowIndex:
    """Map the files of a data set. Raises DataError if they cannot be read or have no images or classes."""
    try:
        import pyarrow  # an extra
    except ModuleNotFoundError:
        raise DataError(f"{root} needs the package pyarrow", "pip install 'clfctl[hf]'", field="data") from None
    try:
        if (root / "dataset_dict.json").is_file():
            names = _json(root / "dataset_dict.json")["splits"]
            chosen = {part: next((root / n for n in words if n in names), None) for part, words in PARTS.items()}
        else:
            names, chosen = [], {"train": root, "val": None, "test": None}
        if not (folder := chosen["train"]):
            raise DataError(f"{root} has no split train; it has {', '.join(names)}", HINT, field="data")
        _, _, classes = _columns(folder)
        train, val, test = (_images(each, classes) if each else None for each in chosen.values())
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
        what = f"{root} cannot be read as a data set saved to disk"
        raise DataError(f"{what}: {type(error).__name__} {str(error).splitlines()[0]}", HINT, field="data") from None
    assert train is not None
    return ArrowIndex(classes, train, val, test)


def _images(folder: Path, classes: Sequence[str]) -> ArrowImages:
    import pyarrow

    image, label, own = _columns(folder)
    if own != tuple(classes):
        raise DataError(f"{folder} has other classes than the split train", HINT, field="data")
    state = _json(folder / "state.json")
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise DataError(
            f"{folder} was saved as a selection of rows", "save it again with a newer version of datasets", field="data"
        )
    shards = [folder / each["filename"] for each in state["_data_files"]]
    tables = [pyarrow.ipc.open_stream(pyarrow.memory_map(str(path))).read_all() for path in shards]
    table = pyarrow.concat_tables(each.select([image, label]) for each in tables)
    labels = array("i", (-1 if each is None else each for each in table.column(label).to_pylist()))
    if labels and not 0 <= min(labels) <= max(labels) < len(classes):
        row = next(row for row, each in enumerate(labels) if not 0 <= each < len(classes))
        raise DataError(f"{folder}, row {row} has no class", "remove the rows without a label", field="data")
    return ArrowImages(folder.name, shards, table.column(image), labels)


def _columns(folder: Path) -> tuple[str, str, tuple[str, ...]]:
    """Return the image column, the label column and the classes. Raises DataError unless there is one of each."""
    features = _json(folder / "dataset_info.json")["features"]
    found = []
    for kind, usual in (("Image", ("image", "img")), ("ClassLabel", ("label", "fine_label"))):
        names = [name for name, feature in features.items() if feature.get("_type") == kind]
        name = next((each for each in usual if each in names), names[0] if len(names) == 1 else None)
        if name is None:
            columns = ", ".join(f"{each} ({feature.get('_type')})" for each, feature in features.items())
            raise DataError(
                f"{folder} has {'no' if not names else 'more than one'} {kind}: {columns}", HINT, field="data"
            )
        found.append(name)
    return found[0], found[1], tuple(map(str, features[found[1]]["names"]))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
