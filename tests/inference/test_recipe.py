"""The recipe of docs/inference.md, run as it stands there, makes the pixels that predict makes of odd files."""

import random
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from clfctl.data.pixels.decode import ORIENTATION, Pixels, resize_by_pillow, see_and_close
from clfctl.data.pixels.fit import FITS, INTERPOLATIONS
from clfctl.data.pixels.transform import Preprocess, to_pixels
from clfctl.inference.inputs import open_input
from clfctl.models.card import preprocess_as_json
from clfctl.settings.data import Fit, Interpolation
from clfctl.settings.image_size import ImageSize, Rectangle
from tests.data.odd_files import FILES, saved
from tests.docs.documents import INFERENCE, blocks

# The guide says that these are not for the recipe: some it refuses, of others it does not see what is transparent.
REFUSED = [name for name in FILES if name.startswith(("int32", "float", "PGM", "PFM", "CIELAB"))]
BEYOND = ("RGB of 16 bits", "grey of 4", "grey of 2", "grey of 16")
EVERYDAY = [name for name in FILES if not name.startswith(BEYOND) and name not in REFUSED]


def recipe(path: Path, preprocess: Preprocess) -> Pixels:
    """Run the lines of the guide from the opened image to its pixels."""
    text = next(text for _, text in blocks(INFERENCE, "python") if "exif_transpose" in text)
    lines = text[text.index("image = ImageOps") : text.index("(probabilities,)")].replace('"cat.jpg"', "path")
    names: dict[str, Any] = {"np": np, "Image": Image, "ImageOps": ImageOps}
    names |= {"seen": preprocess_as_json(preprocess), "path": path}
    exec(compile(textwrap.dedent(lines), str(INFERENCE), "exec"), names)
    pixels: Pixels = names["pixels"]
    return pixels


def difference(path: Path, preprocess: Preprocess) -> int:
    """Return by how many levels of 255 at most the recipe's pixels differ from those of predict."""
    ours = see_and_close(open_input(str(path)), lambda image: to_pixels(image, preprocess, resize_by_pillow))
    theirs = recipe(path, preprocess)
    assert theirs.shape == ours.shape == (*preprocess.size, 3)
    return int(np.abs(ours.astype(int) - theirs).max())


@pytest.mark.parametrize("name", EVERYDAY)
def test_of_odd_files(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(FILES[name][0]())
    assert difference(path, Preprocess(32)) <= 1


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_beyond_it_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(FILES[name][0]())
    with pytest.raises(ValueError, match="pixels of the mode"):
        recipe(path, Preprocess(32))


def picture(width: int, height: int) -> Image.Image:
    draw = np.random.default_rng(width * 10_000 + height)
    return Image.fromarray(draw.integers(0, 256, (5, 7, 3), np.uint8)).resize((width, height))


def test_of_many_sizes(tmp_path: Path) -> None:
    """Among them those of which `int(side * scale)` made a picture a pixel too small, and very long ones."""
    draw = random.Random(0)
    sizes = [(draw.randint(1, 700), draw.randint(1, 700)) for _ in range(100)]
    sizes += [(side, side) for side in range(1, 400, 7)] + [(1001, 100), (100, 999), (1, 50), (3000, 7)]
    too_small = [size for size in sizes if int(min(size) * (256 / min(size))) < 256]
    assert len(too_small) > 5
    for width, height in sizes:
        path = tmp_path / f"{width}x{height}.bmp"
        picture(width, height).save(path)
        assert difference(path, Preprocess(224)) <= 1, (width, height)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [32, Rectangle(24, 48), Rectangle(50, 33)], ids=str)
def test_of_every_fit_and_shape(fit: Fit, size: ImageSize, tmp_path: Path) -> None:
    for number, (width, height) in enumerate([(90, 61), (61, 90), (300, 20), (11, 200), (48, 24), (1, 1), (900, 90)]):
        path = tmp_path / f"{number}.bmp"
        picture(width, height).save(path)
        for interpolation, ratio in ((INTERPOLATIONS[number % 6], 0.9), ("bilinear", 1.0), ("bicubic", 1.15)):
            kind: Interpolation = interpolation
            assert difference(path, Preprocess(size, ratio, interpolation=kind, fit=fit)) == 0, (width, height, kind)


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("WEBP", "RGBA"), ("PNG", "LA")]
)
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_of_formats_and_turned(kind: str, mode: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = picture(90, 61).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(picture(90, 61).convert("L"))
    path = tmp_path / "image"
    path.write_bytes(saved(image, kind, exif=exif))
    assert difference(path, Preprocess(32)) <= (2 if kind == "JPEG" else 1)


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    values = np.linspace(0, 65535, 60 * 50).astype(np.uint16).reshape(50, 60)
    path.write_bytes(saved(Image.fromarray(values), "PNG"))
    assert difference(path, Preprocess(32)) <= 1
