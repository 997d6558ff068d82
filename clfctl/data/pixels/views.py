"""The views of an image that test-time augmentation averages over: fixed crops and mirrors, nothing random."""

from collections.abc import Sequence
from dataclasses import dataclass

from clfctl.data.pixels.decode import Picture, Pixels, decode, orientation_of, upright_size
from clfctl.data.pixels.fit import FRAMED, canvas_of, cut_of
from clfctl.data.pixels.transform import Preprocess, placed

# Side of the closer crops, as a share of the side that validation keeps. 7/8 is what AlexNet's ten views used
# (Krizhevsky et al. 2012: 224 of 256 pixels).
CLOSER = 7 / 8


@dataclass(frozen=True)
class Crop:
    """A part of an image's middle: of the largest part that has the shape of what the model gets, a square mostly.

    Where the fit shows the whole image, it is a part of the whole. `zoom` is its side as a share of the side that
    validation keeps, `x` and `y` are where in the middle it lies: 0 left or top, 0.5 the middle, 1 right or bottom. In
    a frame it is moved to where it shows as much of the image as it can.
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
    """Return a crop of an image as (H, W, 3) uint8 RGB of the preprocess's size."""
    orientation = orientation_of(image)
    canvas = canvas_of(*upright_size(image, orientation), preprocess.fit, preprocess.size)
    first_x, first_y, last_x, last_y = canvas.middle()
    width, height = (
        max(1, min(side, round(crop.zoom * preprocess.crop_ratio * side)))
        for side in (last_x - first_x, last_y - first_y)
    )
    lefts, tops = (first_x, last_x - width), (first_y, last_y - height)
    if preprocess.fit in FRAMED:
        lefts, tops = canvas.range_of_lefts(width), canvas.range_of_tops(height)
    left, top = (first + round(at * (last - first)) for at, (first, last) in ((crop.x, lefts), (crop.y, tops)))
    cut = cut_of(canvas, (left, top, left + width, top + height), preprocess.size)
    return placed(decode(image, orientation, cut.box, (cut.height, cut.width)), cut, preprocess)
