"""From an opened image to the pixels that the model gets: crop, resize, flip; what is random is drawn per sample."""

import math
import random
from dataclasses import dataclass

from clfctl.data.pixels.augment import change, erase
from clfctl.data.pixels.decode import (
    Box,
    Picture,
    Pixels,
    Resize,
    decode,
    mirrored,
    orientation_of,
    resize,
    upright_size,
)
from clfctl.settings.data import AugmentLevel

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocess:
    """What a model was trained to see; saved with it, so that prediction sees the same.

    `crop_ratio` is the share of the shorter side that validation keeps, from the centre; `mean` and `std` are per
    channel (RGB) of pixels in [0, 1].
    """

    image_size: int
    crop_ratio: float = 0.875
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @property
    def shorter_side(self) -> int:
        """What validation makes of an image's shorter side before it cuts out the middle, in pixels."""
        return math.floor(self.image_size / self.crop_ratio)


def to_pixels(image: Picture, preprocess: Preprocess, resize: Resize = resize) -> Pixels:
    """Return the centre of an image as (H, W, 3) uint8 RGB, H = W = image_size.

    As torchvision's Resize and CenterCrop do: the shorter side becomes image_size / crop_ratio, and the middle is kept.
    With `resize_by_pillow` torch is not needed.
    """
    size = preprocess.image_size
    resized = _scaled(image, preprocess.shorter_side, resize)
    top, left = (round((side - size) / 2) for side in resized.shape[:2])
    return resized[top : top + size, left : left + size]


def to_stored(image: Picture, shorter: int) -> Pixels:
    """Return the (H, W, 3) uint8 RGB that a cache keeps of an image: upright, its shorter side at most `shorter`.

    It is what `to_pixels` cuts the centre out of: from this it makes the same pixels as from the image.
    """
    return _scaled(image, shorter, enlarges=False)


def stored_size(width: int, height: int, shorter: int) -> tuple[int, int]:
    """Return (H, W) of what `to_stored` makes of an upright image of a size."""
    left, top, right, bottom = _middle(width, height)
    if min(width, height) <= shorter:
        return bottom - top, right - left
    return _scaled_size(left, top, right, bottom, shorter)


def _scaled(image: Picture, shorter: int, resize: Resize = resize, *, enlarges: bool = True) -> Pixels:
    """Return the middle of an image as (H, W, 3) uint8 RGB whose shorter side is `shorter`, or less, as it was."""
    orientation = orientation_of(image)
    width, height = upright_size(image, orientation)
    box = _middle(width, height)
    # Twice the pixels that are needed: what the decoder leaves out while scaling is then hardly seen.
    part = decode(image, orientation, box, 2 * shorter)
    if min(width, height) <= shorter and not enlarges:
        return part
    return resize(part, *_scaled_size(*box, shorter))


def _scaled_size(left: int, top: int, right: int, bottom: int, shorter: int) -> tuple[int, int]:
    smallest = min(right - left, bottom - top)
    # The product first: of a side that is the smallest it is exact.
    return int(shorter * (bottom - top) / smallest), int(shorter * (right - left) / smallest)


def _middle(width: int, height: int) -> Box:
    """Return the box of the whole image, or its middle where it is so long that most of it would be cut off later."""
    longest = 4 * min(width, height)
    x, y = max(0, width - longest) // 2, max(0, height - longest) // 2
    return x, y, width - x, height - y


@dataclass(frozen=True)
class Augmentation:
    """How training images are changed at random; `erasing` is the share of them in which a box is covered."""

    level: AugmentLevel = "light"
    erasing: float = 0.0


LIGHT = Augmentation()


def to_augmented_pixels(image: Picture, preprocess: Preprocess, key: int, augmentation: Augmentation = LIGHT) -> Pixels:
    """Return an image changed at random as (H, W, 3) uint8 RGB, H = W = image_size.

    Random resized crop of torchvision's defaults (area 0.08 to 1, ratio 3/4 to 4/3; Szegedy et al. 2014,
    arXiv:1409.4842), mirrored every other time, then what the level adds; at level `none` the centre, as validation
    sees it. `key` decides all that is random.
    """
    draw = random.Random(key)
    pixels = to_pixels(image, preprocess) if augmentation.level == "none" else _random_part(image, preprocess, draw)
    pixels = change(pixels, augmentation.level, draw)
    # Drawn only where it is asked for: what is drawn without it stays as it was.
    if augmentation.erasing and draw.random() < augmentation.erasing:
        return erase(pixels, preprocess.mean, draw)
    return pixels


def _random_part(image: Picture, preprocess: Preprocess, draw: random.Random) -> Pixels:
    size = preprocess.image_size
    orientation = orientation_of(image)
    box = random_box(*upright_size(image, orientation), draw)
    pixels = resize(decode(image, orientation, box, size), size, size)
    return mirrored(pixels) if draw.random() < 0.5 else pixels


def random_box(width: int, height: int, draw: random.Random) -> Box:
    """Return left, top, right, bottom of a random crop that lies inside an image."""
    for _ in range(10):
        area = width * height * draw.uniform(0.08, 1)
        ratio = math.exp(draw.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            # Not randint: how many numbers that draws depends on the size, and so would all that is drawn after it.
            left, top = int(draw.random() * (width - w + 1)), int(draw.random() * (height - h + 1))
            return left, top, left + w, top + h
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side
