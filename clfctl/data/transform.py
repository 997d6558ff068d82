"""From an opened image to the pixels that the model gets: crop, resize, flip; what is random is drawn per sample."""

import math
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Box = tuple[float, float, float, float]

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


def to_pixels(image: Image.Image, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return the centre of an image as (H, W, 3) uint8 RGB, H = W = image_size."""
    side = min(image.size) * preprocess.crop_ratio
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return _resized(image, (left, top, left + side, top + side), preprocess.image_size)


def to_augmented_pixels(image: Image.Image, preprocess: Preprocess, key: int) -> NDArray[np.uint8]:
    """Return a random part of an image as (H, W, 3) uint8 RGB, mirrored every other time.

    Random resized crop of torchvision's defaults (area 0.08 to 1, ratio 3/4 to 4/3; Szegedy et al. 2014,
    arXiv:1409.4842). `key` decides all that is random.
    """
    draw = random.Random(key)
    pixels = _resized(image, random_box(image.width, image.height, draw), preprocess.image_size)
    return pixels[:, ::-1] if draw.random() < 0.5 else pixels


def random_box(width: int, height: int, draw: random.Random) -> Box:
    """Return left, top, right, bottom of a random crop that lies inside an image."""
    for _ in range(10):
        area = width * height * draw.uniform(0.08, 1)
        ratio = math.exp(draw.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = draw.randint(0, width - w), draw.randint(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def _resized(image: Image.Image, box: Box, size: int) -> NDArray[np.uint8]:
    scale = size / min(box[2] - box[0], box[3] - box[1])
    if image.format == "JPEG" and scale < 0.5:
        # The decoder itself halves, quarters, … the picture, as long as the crop keeps twice the pixels it needs.
        before = image.size
        image.draft("RGB", (math.ceil(2 * scale * before[0]), math.ceil(2 * scale * before[1])))
        x, y = image.width / before[0], image.height / before[1]
        box = (box[0] * x, box[1] * y, min(box[2] * x, image.width), min(box[3] * y, image.height))
    image = image.convert("RGB")
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box))
