"""Every kind of pixels comes out as the colours that people see: by table, for files, Pillow images and arrays."""

import io
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clfctl.data.pixels.decode import ORIENTATION, Pixels, decode, orientation_of, see_and_close, upright_size
from clfctl.data.pixels.image_file import open_image
from clfctl.data.pixels.to_rgb import array_to_rgb
from clfctl.data.pixels.unreadable import BadImageError
from clfctl.inference.inputs import open_any
from tests.data.odd_files import FILES, MODES, WHITE, chunk, png, saved


def seen(image: Image.Image | Pixels) -> Pixels:
    """Return all pixels of an upright image."""
    orientation = orientation_of(image)
    return decode(image, orientation, (0, 0, *upright_size(image, orientation)), (10_000, 10_000))


@pytest.mark.parametrize("name", FILES)
def test_a_file_shows_its_colours(name: str) -> None:
    make, expected = FILES[name]
    found = see_and_close(open_image(make()), seen)
    # Colours of CIELAB were rounded to its own steps.
    assert np.abs(found[0].astype(int) - expected).max() <= (8 if name == "CIELAB" else 0)


@pytest.mark.parametrize("name", FILES)
def test_a_part_has_the_colours_of_the_whole(name: str) -> None:
    content = FILES[name][0]()
    whole = see_and_close(open_image(content), seen)

    def see_last(image: Image.Image | Pixels) -> Pixels:
        orientation = orientation_of(image)
        width, height = upright_size(image, orientation)
        return decode(image, orientation, (width - 1, 0, width, height), (1, 1))

    assert (see_and_close(open_image(content), see_last)[0, 0] == whole[0, -1]).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_of_pillows_shows_its_colour(mode: str) -> None:
    value, expected = MODES[mode]
    image = Image.new(mode, (3, 2))
    for place in np.ndindex(3, 2):
        image.putpixel(place, value)
    assert (np.abs(seen(open_any(image)).astype(int) - expected) <= 1).all()
    assert image.getpixel((0, 0)) is not None, "it stays open"


ONE = {
    "uint8": (np.array([[0, 77]], np.uint8), [0, 77]),
    "bool": (np.array([[False, True]]), [0, 255]),
    "uint16": (np.array([[0, 65535]], np.uint16), [0, 255]),
    "int64 to 255": (np.array([[0, 77]]), [0, 77]),
    "float64 to 1": (np.array([[0, 0.2]]), [0, 51]),
    "float16 to 255": (np.array([[0, 77]], np.float16), [0, 77]),
}


@pytest.mark.parametrize("name", ONE)
def test_an_array_shows_its_colours(name: str) -> None:
    values, expected = ONE[name]
    three = np.repeat(values[..., None], 3, 2)
    opaque = np.concatenate([three, np.full((1, 2, 1), values.dtype.type(1 if name.endswith("to 1") else 255))], 2)
    for each in (values, values[..., None], three, three[:, ::-1][:, ::-1]):
        found = open_any(each)
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.uint8
        assert found[0].tolist() == [[level] * 3 for level in expected]
    if name in ("uint8", "float64 to 1"):
        assert array_to_rgb(opaque)[0].tolist() == [[level] * 3 for level in expected]
        opaque[..., 3] = 0
        assert array_to_rgb(opaque)[0].tolist() == [WHITE, WHITE]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros(3), "is an array of 3; an image is H x W, H x W x 3 or H x W x 4"),
        (np.zeros((2, 2, 2)), "2 x 2 x 2"),
        (np.zeros((1, 4, 4, 3)), "1 x 4 x 4 x 3"),
        (np.zeros((0, 4)), "0 x 4"),
        (np.array(3), "a single number"),
        (np.array([["a", "b"]]), "an image is of integers, floats or bool"),
        (np.zeros((2, 2), complex), "complex128"),
    ],
    ids=str,
)
def test_an_array_that_is_not_an_image_is_refused(values: "NDArray[np.generic]", reason: str) -> None:
    with pytest.raises(BadImageError, match=reason):
        open_any(values)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"])
def test_a_path_a_pillow_image_and_its_file_are_the_same_pixels(kind: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture = Image.fromarray(draw.integers(0, 255, (5, 8, 3), np.uint8)).resize((80, 50))
    path = tmp_path / "image"
    path.write_bytes(saved(picture, kind, **({} if kind in ("GIF", "BMP") else {"exif": exif})))
    expected = see_and_close(open_any(path), seen)
    assert expected.shape[:2] == ((50, 80) if kind in ("GIF", "BMP") else (80, 50))
    with Image.open(path) as image:
        for _ in range(2):
            assert (see_and_close(open_any(image), seen) == expected).all()
        image.load()
        # JPEG decoded by Pillow: by one level of another rounding.
        assert np.abs(see_and_close(open_any(image), seen).astype(int) - expected).max() <= (2 if kind == "JPEG" else 0)
        assert image.getpixel((0, 0)) is not None


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


def raw_profile(content: bytes) -> bytes:
    """Return EXIF as older programs write it into a PNG: in hexadecimal digits."""
    text = f"\nexif\n{len(content)}\n{content.hex()}"
    return b"Raw profile type exif\0\0" + zlib.compress(text.encode())


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", [b"eXIf", b"zTXt"])
def test_a_png_is_turned_wherever_its_exif_stands(orientation: int, place: str, name: bytes) -> None:
    rows = np.arange(24, dtype=np.uint8).reshape(2, 12) * 10
    exif = exif_of(orientation)
    content = exif[6:] if name == b"eXIf" else raw_profile(exif)
    build = partial(png, rows, 4, 8, 2)
    file = build((name, content)) if place == "before" else build(after=chunk(name, content))
    plain = rows.reshape(2, 4, 3)
    turned = {1: plain, 3: plain[::-1, ::-1], 6: np.rot90(plain, -1), 8: np.rot90(plain)}[orientation]
    assert (see_and_close(open_image(file), seen) == turned).all()
    assert Image.open(io.BytesIO(file)).getexif().get(ORIENTATION) == orientation
