"""A batch as one picture: what the model sees, with the class of each image."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from clfctl.storage.files import explained, replace_file
from clfctl.storage.names import plain

# Small images are enlarged by a whole factor, so that a pixel stays a square.
MIN_SIDE, GAP, LABEL_HEIGHT = 96, 6, 18
MAX_IMAGES = 64
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def save_grid(path: Path, images: NDArray[np.uint8], names: Sequence[str], title: str = "") -> None:
    """Write images (B, H, W, 3) uint8 side by side, each above its name; of a large batch the first 64.

    A name may have several lines; a title stands above all of them.
    The suffix of `path` is one of FORMATS. Raises WriteError if it cannot be written.
    """
    images, names = images[:MAX_IMAGES], names[:MAX_IMAGES]
    scale = max(1, math.ceil(MIN_SIDE / images.shape[2]))
    width, height = images.shape[2] * scale, images.shape[1] * scale
    label_height = LABEL_HEIGHT * max(1, *(name.count("\n") + 1 for name in names))
    n_columns = math.ceil(math.sqrt(len(images)))
    n_rows = math.ceil(len(images) / n_columns)
    cell_width, cell_height = width + GAP, height + label_height + GAP
    above = LABEL_HEIGHT if title else 0
    grid = Image.new("RGB", (n_columns * cell_width + GAP, above + n_rows * cell_height + GAP), "white")
    draw, font = ImageDraw.Draw(grid), ImageFont.load_default(size=12)
    draw.text((GAP, GAP), _fitting(plain(title), draw, font, grid.width - 2 * GAP), fill="black", font=font)
    for number, (pixels, name) in enumerate(zip(images, names, strict=True)):
        row, column = divmod(number, n_columns)
        left, top = GAP + column * cell_width, above + GAP + row * cell_height
        picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
        grid.paste(picture, (left, top))
        for line, text in enumerate(plain(name).split("\n")):
            place = (left, top + height + line * LABEL_HEIGHT + 2)
            draw.text(place, _fitting(text, draw, font, width), fill="black", font=font)
    file = io.BytesIO()
    grid.save(file, FORMATS[path.suffix.lower()])
    with explained(path):
        replace_file(path, [file.getbuffer()])


def _fitting(name: str, draw: ImageDraw.ImageDraw, font: Any, width: int) -> str:
    """Return as much of a name as fits under its image."""
    if draw.textlength(name, font=font) <= width:
        return name
    while name and draw.textlength(f"{name}…", font=font) > width:
        name = name[:-1]
    return f"{name}…"
