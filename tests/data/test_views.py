"""The views of test-time augmentation: which, in which order, and which pixels."""

import numpy as np
import pytest
from PIL import Image

from clfctl.data.pixels.transform import Preprocess, to_pixels
from clfctl.data.pixels.views import CROPS, MAX_VIEWS, Crop, crop_pixels, views


@pytest.mark.parametrize("n", range(1, MAX_VIEWS + 1))
def test_n_views_are_the_first_n_of_more(n: int) -> None:
    flat = [(crop, mirrored) for crop, ways in views(n) for mirrored in ways]
    every = [(crop, mirrored) for crop in CROPS for mirrored in (False, True)]
    assert flat == every[:n]


def test_the_first_is_what_validation_sees() -> None:
    assert views(1) == [(None, (False,))]
    assert views(2) == [(None, (False, True))]


def gradient(width: int, height: int) -> Image.Image:
    """An image whose red is x and whose green is y, 0 to 250 over its middle square."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    middle = min(width, height)
    pixels = np.zeros((height, width, 3))
    pixels[..., 0] = (x - (width - middle) / 2) / middle * 250
    pixels[..., 1] = (y - (height - middle) / 2) / middle * 250
    return Image.fromarray(pixels.clip(0, 250).astype(np.uint8))


@pytest.mark.parametrize("size", [(80, 80), (120, 80), (80, 130)])
@pytest.mark.parametrize(("crop", "left", "top"), [
    (Crop(0.5), 0.25, 0.25),
    (Crop(0.5, 0, 0), 0.0, 0.0),
    (Crop(0.5, 1, 0), 0.5, 0.0),
    (Crop(0.5, 0, 1), 0.0, 0.5),
    (Crop(0.5, 1, 1), 0.5, 0.5),
])  # fmt: skip
def test_a_crop_is_that_part_of_the_middle_square(size: tuple[int, int], crop: Crop, left: float, top: float) -> None:
    pixels = crop_pixels(gradient(*size), Preprocess(40, crop_ratio=1.0), crop).astype(float)
    assert pixels.shape == (40, 40, 3)
    for channel, start in ((0, left), (1, top)):
        values = pixels[..., channel].mean(axis=channel)
        assert values[0] == pytest.approx(250 * start, abs=6)
        assert values[-1] == pytest.approx(250 * (start + 0.5), abs=6)


def test_zoom_is_relative_to_what_validation_keeps() -> None:
    image, preprocess = gradient(160, 160), Preprocess(70, crop_ratio=0.875)
    whole = crop_pixels(image, preprocess, Crop(1.0)).astype(int)
    assert np.abs(whole - to_pixels(image, preprocess).astype(int)).max() <= 3


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (7, 2)])
def test_the_smallest_images_have_views(size: tuple[int, int]) -> None:
    for crop in CROPS:
        if crop:
            assert crop_pixels(Image.new("RGB", size, "red"), Preprocess(8), crop).shape == (8, 8, 3)
