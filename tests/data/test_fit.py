"""What a model sees by every fit, shape and interpolation: that of timm's own transforms, or of Pillow.

Tolerances in levels of 255, for images that are decoded whole: 1 where torch's bilinear stands for Pillow's, 2 where
its bicubic does; nothing where Pillow resizes, which is every other interpolation, and all of them without torch.
"""

import io
import random
from itertools import product
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images
from timm.data import create_transform

from clfctl.data.pixels.decode import Pixels, Resize, framed, resize, resize_by_pillow
from clfctl.data.pixels.fit import FITS, FRAMED, INTERPOLATIONS
from clfctl.data.pixels.transform import Augmentation, Preprocess, placed, random_part, to_augmented_pixels, to_pixels
from clfctl.data.pixels.views import CROPS, crop_pixels
from clfctl.settings.data import Fit, Interpolation
from clfctl.settings.image_size import ImageSize, Rectangle

EXACT: dict[Interpolation, int] = {"bilinear": 1, "bicubic": 2}
# Mean difference where the decoder scales a JPEG: another filter, see test_decode.py.
SCALED_MEAN = 4.0
MODES: dict[str, Fit] = {"center": "crop", "squash": "stretch", "border": "letterbox"}
SHAPES = [(90, 61), (61, 90), (64, 64), (30, 20), (150, 40), (33, 120)]
WHOLE = Augmentation(scale=(1.0, 1.0), ratio=(1.0, 1.0))
ROUND = Augmentation(scale=(0.3, 0.6), ratio=(0.75, 4 / 3))


def picture(width: int, height: int) -> Image.Image:
    draw = np.random.default_rng(width * 10_000 + height)
    return Image.fromarray(draw.integers(0, 256, (7, 9, 3), np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


def difference(ours: Pixels, theirs: Any) -> int:
    return int(np.abs(ours.astype(int) - np.asarray(theirs)).max())


RESIZE = Image.Image.resize


def columns_first(self: Image.Image, size: tuple[int, int], resample: int) -> Image.Image:
    """Take the place of Pillow's resize, in its order before Pillow 13."""
    width, height = size
    return RESIZE(RESIZE(self, (width, self.height), resample), (width, height), resample)


def seen_by_timm(image: Image.Image, seen: Preprocess, mode: str) -> Pixels:
    """Return (H, W, 3) uint8 of timm's transform for evaluation."""
    transform: Any = create_transform(
        (3, *seen.size),
        interpolation=seen.interpolation,
        mean=seen.mean,
        std=seen.std,
        crop_pct=seen.crop_ratio,
        crop_mode=mode,
        normalize=False,
    )
    pixels: Pixels = transform(image).permute(1, 2, 0).numpy()
    return pixels


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("by", [resize, resize_by_pillow], ids=["torch", "Pillow"])
def test_validation_sees_what_timms_transform_sees(interpolation: Interpolation, mode: str, by: Resize) -> None:
    tolerance = EXACT.get(interpolation, 0) if by is resize else 0
    sizes: tuple[ImageSize, ...] = (32, Rectangle(24, 48), Rectangle(40, 30))
    for shape, size, ratio in product(SHAPES, sizes, (0.875, 1.0, 1.15)):
        seen = Preprocess(size, ratio, (0.5, 0.4, 0.3), interpolation=interpolation, fit=MODES[mode])
        image = picture(*shape)
        theirs = seen_by_timm(image, seen, mode)
        ours = to_pixels(image, seen, by)
        # Whatever order Pillow has, they are timm's to a level or two. In the order of training, which Pillow 13 does
        # not have for tall pictures, those by Pillow are timm's themselves.
        assert difference(ours, theirs) <= EXACT.get(interpolation, 0), (shape, size, ratio)
        if by is resize_by_pillow and interpolation in EXACT:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Image.Image, "resize", columns_first)
                theirs = seen_by_timm(image, seen, mode)
        assert difference(ours, theirs) <= tolerance, (shape, size, ratio)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width", [640, 1601])
def test_the_decoders_scaling_is_hardly_seen(interpolation: Interpolation, mode: str, width: int) -> None:
    """A photograph of 1,601 pixels is decoded at a half or a quarter of its sides."""
    photograph = Image.fromarray(load_sample_images().images[0])
    file = io.BytesIO()
    photograph.resize((width, 427 * width // 640), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
    seen = Preprocess(Rectangle(128, 160), 0.9, interpolation=interpolation, fit=MODES[mode])
    ours = to_pixels(Image.open(file), seen)
    theirs = seen_by_timm(Image.open(file).convert("RGB"), seen, mode)
    assert np.abs(ours.astype(int) - theirs).mean() < SCALED_MEAN


@pytest.mark.parametrize("shape", [*SHAPES, (200, 3), (2, 90), (1, 1)])
@pytest.mark.parametrize("size", [32, Rectangle(24, 48)], ids=str)
def test_reflect_goes_on_mirrored_as_numpy_has_it(shape: tuple[int, int], size: ImageSize) -> None:
    seen = Preprocess(size, 1.0, fit="reflect")
    height, width = seen.size
    scale = max(shape[1] / height, shape[0] / width)
    small = max(1, round(shape[1] / scale)), max(1, round(shape[0] / scale))
    resized = np.asarray(picture(*shape).resize(small[::-1], Image.Resampling.BILINEAR))
    free = height - small[0], width - small[1]
    pads = [(each // 2, each - each // 2) for each in free]
    expected = np.pad(resized, (*pads, (0, 0)), mode="reflect")
    assert difference(to_pixels(picture(*shape), seen), expected) <= 1


def test_a_frame_is_of_the_mean_colour_and_holds_the_whole_image() -> None:
    """An image of 4 by 1 in a square: a quarter of the height is image, the rest the mean colour."""
    seen = Preprocess(64, 1.0, mean=(1.0, 0.5, 0.0), fit="letterbox")
    pixels = to_pixels(Image.new("RGB", (200, 50), "blue"), seen)
    assert (pixels[24:40] == (0, 0, 255)).all()
    assert (np.concatenate([pixels[:24], pixels[40:]]) == (255, 128, 0)).all()


@pytest.mark.parametrize("fit", FITS)
def test_a_random_crop_of_all_in_its_shape_is_what_validation_sees(fit: Fit) -> None:
    """Of images that are scaled to whole pixels; by `crop` only of one that has the shape of the rectangle."""
    seen = Preprocess(Rectangle(24, 48), 1.0, fit=fit)
    for shape in ((96, 48), (96, 12), (24, 96)) if fit != "crop" else ((96, 48),):
        image = picture(*shape)
        found = {key: to_augmented_pixels(image, seen, key, WHOLE) for key in range(8)}
        expected = to_pixels(image, seen).astype(int)
        turned = [min(np.abs(each - way).max() for way in (expected, expected[:, ::-1])) for each in found.values()]
        assert max(turned) <= 1, shape


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_a_random_crop_is_that_of_pillow(fit: Fit, interpolation: Interpolation) -> None:
    """The part of the image that is seen, cut out and resized by Pillow."""
    size = (40, 56)
    for shape, key in product(((300, 100), (90, 200), (240, 171)), range(6)):
        image = picture(*shape)
        seen = Preprocess(Rectangle(*size), 1.0, (0.2, 0.4, 0.6), interpolation=interpolation, fit=fit)
        part, cut = random_part(image, seen, ROUND, random.Random(key))
        ours = placed(part, cut, seen)
        kernel = Image.Resampling[interpolation.upper()]
        inside = np.asarray(image.crop(cut.box).resize((cut.width, cut.height), kernel))
        assert ours.shape == (*size, 3)
        there = ours[cut.top : cut.top + cut.height, cut.left : cut.left + cut.width]
        assert difference(there, inside) <= EXACT.get(interpolation, 0)
        if fit in FRAMED:
            # What is around it is the frame; it is out of shape no more than was asked for.
            assert np.array_equal(ours, framed(there, size, (cut.top, cut.left), seen.frame))
            across, down = (cut.box[2] - cut.box[0]) / cut.width, (cut.box[3] - cut.box[1]) / cut.height
            assert 0.7 < across / down < 1.43
        else:
            assert (cut.height, cut.width, cut.top, cut.left) == (*size, 0, 0)


@pytest.mark.parametrize("fit", FITS)
def test_a_random_crop_shows_something_of_the_thinnest_image(fit: Fit) -> None:
    """Where no part has the shape of a rectangle that is as long the other way, there is still a pixel to see."""
    shapes, sizes = (
        [(1, 1), (1, 2), (2, 1), (1, 500), (500, 1), (10, 4000), (4000, 10)],
        [(16, 32), (16, 320), (320, 1)],
    )
    for shape, size, key in product(shapes, sizes, range(3)):
        part, cut = random_part(
            Image.new("RGB", shape), Preprocess(Rectangle(*size), fit=fit), ROUND, random.Random(key)
        )
        assert part.size > 0
        assert 0 < cut.width <= size[1] - cut.left
        assert 0 < cut.height <= size[0] - cut.top


def test_the_share_and_the_shape_of_crops_are_those_that_are_asked_for() -> None:
    """Of an image stretched from 400 x 100 to a square, shapes count in the square: boxes are four times as wide."""
    seen = Preprocess(64, fit="stretch")
    for key in range(50):
        _, cut = random_part(picture(400, 100), seen, ROUND, random.Random(key))
        width, height = cut.box[2] - cut.box[0], cut.box[3] - cut.box[1]
        assert 0.28 <= width * height / 40_000 <= 0.62
        assert 0.73 <= width / height / 4 <= 1.37


@pytest.mark.parametrize("fit", FITS)
def test_every_view_shows_the_image(fit: Fit) -> None:
    """Views of a black strip in a frame of white: each has all of its height, or of what validation keeps of it."""
    seen = Preprocess(Rectangle(32, 48), 1.0, (1.0, 1.0, 1.0), fit=fit)
    for shape in ((400, 20), (20, 400), (60, 50)):
        for crop in CROPS[1:]:
            assert crop
            pixels = crop_pixels(Image.new("RGB", shape), seen, crop)
            assert pixels.shape == (32, 48, 3)
            assert (pixels == 0).any()


def test_views_of_what_is_stretched_lie_in_its_corners() -> None:
    image = Image.new("RGB", (100, 20), "white")
    image.paste((0, 0, 0), (0, 0, 50, 10))
    corners = [crop_pixels(image, Preprocess(16, 1.0, fit="stretch"), crop).mean() for crop in CROPS[2:] if crop]
    assert corners[0] == min(corners)
    assert corners[3] == max(corners)
