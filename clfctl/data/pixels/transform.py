"""From an opened image to the pixels that the model gets: crop, resize, flip; what is random is drawn per sample."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from clfctl.data.pixels.augment import change, erase
from clfctl.data.pixels.decode import (
    Picture,
    Pixels,
    Resize,
    decode,
    framed,
    mirrored,
    orientation_of,
    reduced,
    resize,
    upright_size,
)
from clfctl.data.pixels.fit import (
    FRAMED,
    RATIO,
    SCALE,
    Cut,
    Range,
    Scaling,
    canvas_of,
    cut_of,
    random_box,
)
from clfctl.settings.data import AugmentLevel, DataSettings, Fit, Interpolation
from clfctl.settings.image_size import ImageSize, sides

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
BLACK = (0, 0, 0)
LONGEST = 2048  # pixels of a side of what a model that scales itself gets


@dataclass(frozen=True)
class Preprocess:
    """What a model was trained to see; saved with it, so that prediction sees the same.

    `crop_ratio` is the share of what the fit shows that validation keeps, from the centre: of `crop`, of the shorter
    side. `mean` and `std` are per channel (RGB) of pixels in [0, 1]. See `fit.py` for `fit`.
    """

    image_size: ImageSize
    crop_ratio: float = 0.875
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: Interpolation = "bilinear"
    fit: Fit = "crop"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the model gets, in pixels."""
        return sides(self.image_size)

    @property
    def scaling(self) -> Scaling:
        """How large validation makes an image before it cuts out the middle."""
        height, width = (math.floor(side / self.crop_ratio) for side in self.size)
        return Scaling(height, width, "letterbox" if self.fit in FRAMED else self.fit, self.interpolation)

    @property
    def frame(self) -> tuple[int, ...] | None:
        """The colour around an image that does not fill what the model gets; None: the image mirrored."""
        if self.fit == "reflect":
            return None
        # Of others it shows only where a crop is larger than what it is cut from: as torchvision's CenterCrop.
        return tuple(round(255 * each) for each in self.mean) if self.fit in FRAMED else BLACK

    @property
    def pixel_key(self) -> tuple[object, ...]:
        """What tells it from those that make other pixels: mean and deviation come after them."""
        return self.size, self.scaling, self.frame


def to_pixels(image: Picture, preprocess: Preprocess, resize: Resize = resize) -> Pixels:
    """Return an image as validation sees it, (H, W, 3) uint8 RGB of the preprocess's size.

    As timm's transforms for evaluation do: of `crop`, torchvision's Resize and CenterCrop, the shorter side becomes
    image_size / crop_ratio, and the middle is kept. With `resize_by_pillow` torch is not needed.
    """
    pixels = _scaled(image, preprocess.scaling, resize)
    size, there = preprocess.size, pixels.shape[:2]
    if there[0] < size[0] or there[1] < size[1]:
        place = max(0, (size[0] - there[0]) // 2), max(0, (size[1] - there[1]) // 2)
        larger = max(size[0], there[0]), max(size[1], there[1])
        pixels = framed(pixels, larger, place, preprocess.frame)
    top, left = (round((has - side) / 2) for has, side in zip(pixels.shape, size, strict=False))
    return pixels[top : top + size[0], left : left + size[1]]


def to_whole(image: Picture, views: Sequence[Scaling]) -> Pixels:
    """Return an image as people see it, (H, W, 3) uint8 RGB, upright: what a model that scales itself gets.

    It is all of it, but for what all of the model's `views` cut off before they scale. No side is longer than LONGEST,
    or twice what a view makes of it: a larger picture is made smaller by a whole number, for what such a model makes
    of each pixel takes many times its memory.
    """
    orientation = orientation_of(image)
    width, height = upright_size(image, orientation)
    lefts, tops, rights, bottoms = zip(*(each.middle(width, height) for each in views), strict=True)
    box = min(lefts), min(tops), max(rights), max(bottoms)
    most = max(LONGEST, *(2 * side for each in views for side in (each.height, each.width)))
    sides = box[3] - box[1], box[2] - box[0]
    times = -(-max(sides) // most)
    pixels = decode(image, orientation, box, (-(-sides[0] // times), -(-sides[1] // times)))
    return reduced(pixels, -(-max(pixels.shape) // most))


def to_stored(image: Picture, scaling: Scaling) -> Pixels:
    """Return the (H, W, 3) uint8 RGB that a cache keeps of an image: upright, scaled but not enlarged.

    It is what `to_pixels` cuts the centre out of: from this it makes the same pixels as from the image.
    """
    return _scaled(image, scaling, enlarges=False)


def stored_size(width: int, height: int, scaling: Scaling) -> tuple[int, int]:
    """Return (H, W) of what `to_stored` makes of an upright image of a size."""
    left, top, right, bottom = scaling.middle(width, height)
    before, after = (bottom - top, right - left), scaling.size_of(right - left, bottom - top)
    return after if math.prod(after) < math.prod(before) else before


def _scaled(image: Picture, scaling: Scaling, resize: Resize = resize, *, enlarges: bool = True) -> Pixels:
    """Return the middle of an image as (H, W, 3) uint8 RGB, scaled, or as it was where that is smaller."""
    orientation = orientation_of(image)
    width, height = upright_size(image, orientation)
    box = scaling.middle(width, height)
    after = scaling.size_of(box[2] - box[0], box[3] - box[1])
    # Twice the pixels that are needed: what the decoder leaves out while scaling is then hardly seen.
    part = decode(image, orientation, box, (2 * after[0], 2 * after[1]))
    if not enlarges and math.prod(after) >= (box[2] - box[0]) * (box[3] - box[1]):
        return part
    return resize(part, *after, scaling.interpolation)


@dataclass(frozen=True)
class Augmentation:
    """How training images are changed at random.

    `erasing` is the share of them in which a box is covered; `scale` and `ratio` are those of `random_box`.
    """

    level: AugmentLevel = "light"
    erasing: float = 0.0
    scale: Range = SCALE
    ratio: Range = RATIO


LIGHT = Augmentation()


def augmentation_of(settings: DataSettings) -> Augmentation:
    """Return how the settings have training images changed."""
    scale, ratio = settings.crop_scale.pair, settings.crop_ratio.pair
    return Augmentation(settings.augment, settings.random_erasing, scale, ratio)


def to_augmented_pixels(image: Picture, preprocess: Preprocess, key: int, augmentation: Augmentation = LIGHT) -> Pixels:
    """Return an image changed at random, (H, W, 3) uint8 RGB of the preprocess's size.

    A part of it, or of its frame (see `random_box`), mirrored every other time, then what the level adds; at level
    `none` what validation sees. `key` decides all that is random.
    """
    draw = random.Random(key)
    if augmentation.level == "none":
        pixels = to_pixels(image, preprocess)
    else:
        decoded, cut = random_part(image, preprocess, augmentation, draw)
        pixels = placed(decoded, cut, preprocess)
        pixels = mirrored(pixels) if draw.random() < 0.5 else pixels
    pixels = change(pixels, augmentation.level, draw)
    # Drawn only where it is asked for: what is drawn without it stays as it was.
    if augmentation.erasing and draw.random() < augmentation.erasing:
        return erase(pixels, preprocess.mean, draw)
    return pixels


def random_part(
    image: Picture, preprocess: Preprocess, augmentation: Augmentation, draw: random.Random
) -> tuple[Pixels, Cut]:
    """Return a random part of an image as it is decoded, and where in what the model gets it goes."""
    orientation = orientation_of(image)
    canvas = canvas_of(*upright_size(image, orientation), preprocess.fit, preprocess.size)
    cut = cut_of(canvas, random_box(canvas, draw, augmentation.scale, augmentation.ratio), preprocess.size)
    return decode(image, orientation, cut.box, (cut.height, cut.width)), cut


def placed(part: Pixels, cut: Cut, preprocess: Preprocess) -> Pixels:
    """Return a decoded part of an image scaled and, where it does not fill what the model gets, framed."""
    part = resize(part, cut.height, cut.width, preprocess.interpolation)
    if part.shape[:2] == preprocess.size:
        return part
    return framed(part, preprocess.size, (cut.top, cut.left), preprocess.frame)
