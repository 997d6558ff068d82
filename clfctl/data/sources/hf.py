"""A Hugging Face data set on disk (`save_to_disk`): Arrow files with a column of images and one of classes."""

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from clfctl.data.pixels.image_file import open_image, read_image
from clfctl.errors import DataError

HINT = "save_to_disk of the package datasets makes such a folder, with a column of Image and one of ClassLabel"
# What a split may be called, the first that is there.
PARTS = {"train": ("train",), "val": ("validation", "valid", "val", "dev"), "test": ("test",)}


@dataclass(frozen=True)
class ArrowImages:
    """Images in Arrow files that are mapped into memory: `column` is pyarrow's, of {bytes, path}."""

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
        """Return split, number, and the file's name that came along."""
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
        raise DataError(f"--data: {root} needs the package pyarrow", "pip install 'clfctl[hf]'") from None
    try:
        if (root / "dataset_dict.json").is_file():
            names = _json(root / "dataset_dict.json")["splits"]
            chosen = {part: next((root / n for n in words if n in names), None) for part, words in PARTS.items()}
        else:
            names, chosen = [], {"train": root, "val": None, "test": None}
        if not (folder := chosen["train"]):
            raise DataError(f"--data: {root} has no split train; it has {', '.join(names)}", HINT)
        _, _, classes = _columns(folder)
        train, val, test = (_images(each, classes) if each else None for each in chosen.values())
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
        what = f"--data: {root} cannot be read as a data set on disk"
        raise DataError(f"{what}: {type(error).__name__} {str(error).splitlines()[0]}", HINT) from None
    assert train is not None
    return ArrowIndex(classes, train, val, test)


def _images(folder: Path, classes: Sequence[str]) -> ArrowImages:
    import pyarrow

    image, label, own = _columns(folder)
    if own != tuple(classes):
        raise DataError(f"--data: {folder} has other classes than the split train", HINT)
    state = _json(folder / "state.json")
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise DataError(f"--data: {folder} was saved as a selection", "save it again with a newer datasets")
    shards = [folder / each["filename"] for each in state["_data_files"]]
    tables = [pyarrow.ipc.open_stream(pyarrow.memory_map(str(path))).read_all() for path in shards]
    table = pyarrow.concat_tables(each.select([image, label]) for each in tables)
    labels = array("i", (-1 if each is None else each for each in table.column(label).to_pylist()))
    if labels and not 0 <= min(labels) <= max(labels) < len(classes):
        row = next(row for row, each in enumerate(labels) if not 0 <= each < len(classes))
        raise DataError(f"--data: {folder}, row {row} has no class", "leave out what is not labelled")
    return ArrowImages(folder.name, shards, table.column(image), labels)


def _columns(folder: Path) -> tuple[str, str, tuple[str, ...]]:
    """Return the names of the columns of images and classes, and the classes. Raises DataError if there is not one."""
    features = _json(folder / "dataset_info.json")["features"]
    found = []
    for kind, usual in (("Image", ("image", "img")), ("ClassLabel", ("label", "fine_label"))):
        names = [name for name, feature in features.items() if feature.get("_type") == kind]
        name = next((each for each in usual if each in names), names[0] if len(names) == 1 else None)
        if name is None:
            columns = ", ".join(f"{each} ({feature.get('_type')})" for each, feature in features.items())
            raise DataError(f"--data: {folder} has {'no' if not names else 'more than one'} {kind}: {columns}", HINT)
        found.append(name)
    return found[0], found[1], tuple(map(str, features[found[1]]["names"]))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
