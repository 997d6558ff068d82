"""The views of an image that test-time augmentation averages over: fixed crops and mirrors, nothing random."""

from collections.abc import Sequence
from dataclasses import dataclass

from clfctl.data.pixels.decode import Picture, Pixels, decode, orientation_of, resize, upright_size
from clfctl.data.pixels.transform import Preprocess

# Side of the closer crops, as a share of the side that validation keeps. 7/8 is what AlexNet's ten views used
# (Krizhevsky et al. 2012: 224 of 256 pixels).
CLOSER = 7 / 8


@dataclass(frozen=True)
class Crop:
    """A square part of an image's middle square.

    `zoom` is its side as a share of the side that validation keeps, `x` and `y` are where in the middle square it lies:
    0 left or top, 0.5 the middle, 1 right or bottom.
    """

    zoom: float
    x: float = 0.5
    y: float = 0.5


# None is the part that validation sees, to the very pixels. Each is also seen mirrored: twice as many views.
CROPS: tuple[Crop | None, ...] = (None, Crop(CLOSER), *(Crop(CLOSER, x, y) for y in (0.0, 1.0) for x in (0.0, 1.0)))
MAX_VIEWS = 2 * len(CROPS)


def views(n: int) -> Sequence[tuple[Crop | None, tuple[bool, ...]]]:
    """Return the first `n` views (1 to MAX_VIEWS) as crops, each with whether to mirror it, once or both ways.

    In order: the middle as validation sees it, the same mirrored, a closer middle, mirrored, and the corners top left,
    top right, bottom left and bottom right, each followed by its mirror image.
    """
    return [(crop, (False, True)[: n - 2 * place]) for place, crop in enumerate(CROPS) if n > 2 * place]


def crop_pixels(image: Picture, preprocess: Preprocess, crop: Crop) -> Pixels:
    """Return a crop of an image as (H, W, 3) uint8 RGB, H = W = image_size."""
    orientation = orientation_of(image)
    width, height = upright_size(image, orientation)
    middle = min(width, height)
    side = max(1, round(crop.zoom * preprocess.crop_ratio * middle))
    left = (width - middle) // 2 + round(crop.x * (middle - side))
    top = (height - middle) // 2 + round(crop.y * (middle - side))
    box = (left, top, left + side, top + side)
    return resize(decode(image, orientation, box, preprocess.image_size), preprocess.image_size, preprocess.image_size)
