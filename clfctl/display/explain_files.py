"""The files of explanations: a picture and a map for each image, a grid of them all, and what they say in JSON."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clfctl.display.batch_grid import MAX_IMAGES, save_grid
from clfctl.display.explain_check import Checked, check_record
from clfctl.display.explain_text import record_of
from clfctl.explaining.explanation import Explanation
from clfctl.inference.inputs import STANDARD_INPUT
from clfctl.storage.files import explained, replace_file, write_text
from clfctl.storage.names import shortened, written

# In the grid each picture has a square of this side, with its map in another one beside it.
CELL, BETWEEN = 224, 4
GRID, RECORDS, CHECK = "grid.png", "explained.json", "check.json"


@dataclass
class Files:
    """Writes each explanation into `folder` as it comes, and a grid under a title.

    `names` has what each image's files are called, if any.
    """

    folder: Path
    title: str
    names: list[str] = field(default_factory=list)
    _taken: set[str] = field(default_factory=lambda: {Path(GRID).stem, Path(RECORDS).stem})
    _cells: list[tuple[NDArray[np.uint8], str]] = field(default_factory=list)
    _records: list[dict[str, Any]] = field(default_factory=list)

    def add(self, explanation: Explanation) -> None:
        """Write NAME.png and NAME.npy. Raises WriteError."""
        if not self._records:
            self._begin()
        name = "" if explanation.error else self._name(explanation.name)
        self.names.append(name)
        self._records.append(record_of(explanation, name, self.folder))
        if not name:
            return
        assert explanation.picture is not None
        overlay = explanation.overlay()
        file = io.BytesIO()
        Image.fromarray(overlay).save(file, "PNG")
        for path, pieces in (
            (self.folder / f"{name}.png", [file.getbuffer()]),
            (self.folder / f"{name}.npy", array_file(explanation)),
        ):
            with explained(path):
                replace_file(path, pieces)
        if len(self._cells) < MAX_IMAGES:
            pair = _cell(explanation.picture), np.full((CELL, BETWEEN, 3), 255, np.uint8), _cell(overlay)
            self._cells.append((np.concatenate(pair, axis=1), _caption(explanation)))

    def finish(self) -> None:
        """Write the grid and what is said of all images, also that none could be read. Raises WriteError."""
        if not self._records:
            return
        if self._cells:
            images, captions = zip(*self._cells, strict=True)
            save_grid(self.folder / GRID, np.stack(images), captions, self.title)
        _write_json(self.folder / RECORDS, self._records)

    def summary(self) -> Iterator[str]:
        """Yield what was written, in words."""
        n = sum(1 for each in self.names if each)
        if n:
            first = next(filter(None, self.names))
            others = (
                f"{RECORDS} and, for each image, NAME.png and NAME.npy"
                if n > 1
                else f"{first}.png, {first}.npy and {RECORDS}"
            )
            yield f"Wrote {self.folder / GRID}"
            yield f"  and beside it {others}"
        elif self.names:
            yield f"Wrote {self.folder / RECORDS}: no image could be read"

    def _begin(self) -> None:
        """Make the folder, and remove what speaks of all images of an earlier call: it is not of this one."""
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in (GRID, RECORDS):
                (self.folder / name).unlink(missing_ok=True)

    def _name(self, image: str) -> str:
        stem = "standard-input" if image == STANDARD_INPUT else shortened(written(Path(image).stem)) or "image"
        found, n = stem, 0
        while found.casefold() in self._taken:
            n += 1
            found = f"{stem}~{n}"
        self._taken.add(found.casefold())
        return found


def write_check(folder: Path, checks: Sequence[Checked]) -> Path:
    """Write the tests of maps into a folder, and return the file. Raises WriteError."""
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    file = folder / CHECK
    _write_json(file, [*map(check_record, checks)])
    return file


def _write_json(file: Path, records: Sequence[Mapping[str, Any]]) -> None:
    write_text(file, written(json.dumps(records, indent=2, ensure_ascii=False, allow_nan=False)) + "\n")


def array_file(explanation: Explanation) -> Iterator[bytes]:
    """Yield the bytes of a map as NumPy's .npy file, some rows at a time."""
    header = io.BytesIO()
    about = {"descr": "<f4", "fortran_order": False, "shape": explanation.size}
    np.lib.format.write_array_header_1_0(header, about)
    yield header.getvalue()
    for rows in explanation.rows():
        yield rows.astype("<f4", copy=False).tobytes()


def _cell(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture in a square of CELL pixels, white around it."""
    picture = Image.fromarray(pixels)
    ratio = CELL / max(picture.size)
    size = max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio))
    cell = Image.new("RGB", (CELL, CELL), "white")
    cell.paste(picture.resize(size, Image.Resampling.LANCZOS), ((CELL - size[0]) // 2, (CELL - size[1]) // 2))
    return np.asarray(cell)


def _caption(explanation: Explanation) -> str:
    said = f"{explanation.class_name} {100 * explanation.probability:.1f} %"
    if explanation.predicted != explanation.class_name:
        said += f", taken for {explanation.predicted}"
    return f"{Path(explanation.name).name}\n{said}"
