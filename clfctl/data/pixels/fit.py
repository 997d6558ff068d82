"""Where an image comes to lie in the rectangle that a model sees: cut off, framed or out of shape. Only numbers here.

`crop` fills the rectangle and cuts off what stands out; `letterbox` and `reflect` show the whole image in its shape, in
the middle of a frame that is of the mean colour, or goes on with the image mirrored; `stretch` gives the whole image
the shape of the rectangle. The first, the second and the last are timm's `center`, `border` and `squash`.
"""

import math
import random
from dataclasses import dataclass
from typing import get_args

from clfctl.settings.data import Fit, Interpolation

FITS: tuple[Fit, ...] = get_args(Fit)
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
Range = tuple[float, float]
Box = tuple[int, int, int, int]  # left, top, right, bottom
FRAMED = ("letterbox", "reflect")
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)  # of torchvision's RandomResizedCrop


@dataclass(frozen=True)
class Scaling:
    """How an image is scaled, before what is seen is cut out of it or framed: for a rectangle of so many pixels.

    A cache keeps images so, and has it in its name.
    """

    height: int
    width: int
    fit: Fit = "crop"
    interpolation: Interpolation = "bilinear"

    def __str__(self) -> str:
        size = f"{self.height}x{self.width}" if self.height != self.width else f"{self.height}"
        usual = Scaling(self.height, self.width)
        words = [
            each for each, plain in ((self.fit, usual.fit), (self.interpolation, usual.interpolation)) if each != plain
        ]
        return "-".join([size, *words])

    @property
    def is_plain(self) -> bool:
        """Whether it is as it always was before there was a choice."""
        return self == Scaling(self.height, self.height)

    def middle(self, width: int, height: int) -> Box:
        """Return the box of the whole image, or its middle where most of it would be cut off later."""
        if self.fit != "crop":
            return 0, 0, width, height
        # Whole, so that it is the same part again of what was scaled.
        longest = 4 * math.ceil(max(self.width / self.height, self.height / self.width)) * min(width, height)
        x, y = max(0, width - longest) // 2, max(0, height - longest) // 2
        return x, y, width - x, height - y

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """Return (H, W) of what becomes of the middle of an image, by its size."""
        if self.fit == "stretch":
            return self.height, self.width
        if self.fit == "crop" and self.height == self.width:
            smallest = min(width, height)
            # The product first: of a side that is the smallest it is exact.
            return int(self.height * height / smallest), int(self.height * width / smallest)
        ratios = height / self.height, width / self.width
        ratio = min(ratios) if self.fit == "crop" else max(ratios)
        return max(1, round(height / ratio)), max(1, round(width / ratio))


@dataclass(frozen=True)
class Canvas:
    """What a fit makes of an image before it is scaled, in pixels of the image: the image lies in it at `left`, `top`.

    It is the image itself, but where that is framed. `aspect` is width by height of a part of it that the rectangle
    shows without putting it out of shape, or, of one that is stretched, as much as the whole.
    """

    width: int
    height: int
    left: int
    top: int
    image_width: int
    image_height: int
    aspect: float

    def range_of_lefts(self, width: int) -> tuple[int, int]:
        """Return where a part of a width may begin: inside the canvas, and showing as much of the image as it can."""
        return _range(self.width, self.left, self.image_width, width)

    def range_of_tops(self, height: int) -> tuple[int, int]:
        """Return where a part of a height may begin; as `range_of_lefts`."""
        return _range(self.height, self.top, self.image_height, height)

    def middle(self) -> Box:
        """Return the largest box of the canvas's aspect, in its middle; of a very thin image a pixel is left."""
        width = min(self.width, max(1, round(self.height * self.aspect)))
        height = min(self.height, max(1, round(self.width / self.aspect)))
        left, top = (self.width - width) // 2, (self.height - height) // 2
        return left, top, left + width, top + height


def canvas_of(width: int, height: int, fit: Fit, rectangle: tuple[int, int]) -> Canvas:
    """Return the canvas of an image of a size, for a rectangle of (H, W) pixels."""
    aspect = rectangle[1] / rectangle[0]
    if fit not in FRAMED:
        return Canvas(width, height, 0, 0, width, height, width / height if fit == "stretch" else aspect)
    whole_width, whole_height = max(width, round(height * aspect)), max(height, round(width / aspect))
    left, top = (whole_width - width) // 2, (whole_height - height) // 2
    return Canvas(whole_width, whole_height, left, top, width, height, aspect)


def _range(whole: int, image_at: int, image: int, part: int) -> tuple[int, int]:
    first, last = sorted((image_at, image_at + image - part))
    return max(0, first), min(whole - part, last)


def random_box(canvas: Canvas, draw: random.Random, scale: Range = SCALE, ratio: Range = RATIO) -> Box:
    """Return a random part of a canvas: `scale` of its area, with sides in `ratio` as the rectangle shows them.

    RandomResizedCrop (Szegedy et al. 2014, arXiv:1409.4842), which cuts the middle where no part of such a shape is
    found in ten tries.
    """
    width, height = canvas.width, canvas.height
    for _ in range(10):
        area = width * height * draw.uniform(*scale)
        shape = math.exp(draw.uniform(math.log(ratio[0]), math.log(ratio[1]))) * canvas.aspect
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            lefts, tops = canvas.range_of_lefts(w), canvas.range_of_tops(h)
            # Not randint: how many numbers that draws depends on the size, and so would all that is drawn after it.
            left = lefts[0] + int(draw.random() * (lefts[1] - lefts[0] + 1))
            top = tops[0] + int(draw.random() * (tops[1] - tops[0] + 1))
            return left, top, left + w, top + h
    return canvas.middle()


@dataclass(frozen=True)
class Cut:
    """A part of a canvas that fills a rectangle: `box` of the image goes, scaled to (height, width), to top, left."""

    box: Box
    height: int
    width: int
    top: int
    left: int


def cut_of(canvas: Canvas, part: Box, rectangle: tuple[int, int]) -> Cut:
    """Return what of the image is in a part of its canvas, and where in the rectangle of (H, W) pixels it goes."""
    x = _placed(part[0], part[2], canvas.left, canvas.image_width, rectangle[1])
    y = _placed(part[1], part[3], canvas.top, canvas.image_height, rectangle[0])
    return Cut((x[0], y[0], x[1], y[1]), y[3], x[3], y[2], x[2])


def _placed(first: int, last: int, image_at: int, image: int, pixels: int) -> tuple[int, int, int, int]:
    """Return begin and end in the image, then begin and length in `pixels`, of a stretch of a canvas."""
    begin, end = max(first, image_at), min(last, image_at + image)
    scale = pixels / (last - first)
    at = min(round((begin - first) * scale), pixels - 1)
    return begin - image_at, end - image_at, at, max(1, round((end - first) * scale) - at)
