"""Random changes of colour and shape by level; what is random is drawn by the sample's own generator.

torchvision's own classes draw from torch's one global generator, which two threads would share. So the numbers are
drawn here, and torchvision is asked only to carry them out, on Pillow images: those wake no threads of torch's.
"""

import math
import random
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from clfctl.data.pixels.decode import Pixels
from clfctl.settings.data import AugmentLevel

OpName = Literal[
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
]  # fmt: skip
OPERATIONS: tuple[OpName, ...] = get_args(OpName)
SIGNED = OPERATIONS[1:10]
N_BINS = 31  # steps of strength, as in both papers
RAND_N_OPERATIONS, RAND_STRENGTH = 2, 9


def change(pixels: Pixels, level: AugmentLevel, draw: random.Random) -> Pixels:
    """Return (H, W, 3) uint8 changed as the level says; what crops and flips is not done here.

    `medium`: brightness, contrast and saturation by up to 30 %. `strong`: by up to 50 %, turned by up to 15
    degrees, every tenth image without colour. `trivial`: TrivialAugment (Müller & Hutter 2021,
    arXiv:2103.10158), one operation of any strength. `rand`: RandAugment (Cubuk et al. 2019, arXiv:1909.13719), two
    operations of strength 9 of 30.
    """
    if level in ("none", "light"):
        return pixels
    image = Image.fromarray(pixels)
    match level:
        case "medium":
            image = _jittered(image, 0.3, draw)
        case "strong":
            image = _strong(image, draw)
        case "trivial":
            name = draw.choice(OPERATIONS)
            image = operate(image, name, _signed(trivial_magnitude(name, draw.randrange(N_BINS)), name, draw))
        case _:
            for _ in range(RAND_N_OPERATIONS):
                name = draw.choice(OPERATIONS)
                image = operate(image, name, _signed(rand_magnitude(name, RAND_STRENGTH, image.size), name, draw))
    return np.asarray(image)


def erase(pixels: Pixels, mean: tuple[float, float, float], draw: random.Random) -> Pixels:
    """Return a copy of (H, W, 3) uint8 with a random box of the mean colour, which a model gets as zeros.

    Random erasing (Zhong et al. 2017, arXiv:1708.04896): 2 to 33 % of the area, 0.3 to 3.3 times as high as wide.
    """
    height, width = pixels.shape[:2]
    result = pixels.copy()
    for _ in range(10):
        area = height * width * draw.uniform(0.02, 0.33)
        ratio = math.exp(draw.uniform(math.log(0.3), math.log(3.3)))
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < h < height and 0 < w < width:
            top, left = draw.randint(0, height - h), draw.randint(0, width - w)
            result[top : top + h, left : left + w] = [round(255 * each) for each in mean]
            break
    return result


def _strong(image: Image.Image, draw: random.Random) -> Image.Image:
    functional = _functional()
    image = _jittered(image, 0.5, draw)
    if draw.random() < 0.1:
        image = functional.rgb_to_grayscale(image, num_output_channels=3)
    # Hue is left alone: Pillow's way to it and back takes 1.9 ms, more than decoding. A smooth turn takes 1.0 ms, this
    # one, of nearest pixels as in both papers, 0.08.
    turned: Image.Image = functional.rotate(image, draw.uniform(-15, 15))
    return turned


def _jittered(image: Image.Image, most: float, draw: random.Random) -> Image.Image:
    functional = _functional()
    for adjust in (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation):
        image = adjust(image, draw.uniform(1 - most, 1 + most))
    return image


def trivial_magnitude(name: OpName, step: int) -> float:
    """Return the strength of an operation at a step below 31: TrivialAugment's wide table."""
    share = step / (N_BINS - 1)
    most = {"ShearX": 0.99, "ShearY": 0.99, "TranslateX": 32.0, "TranslateY": 32.0, "Rotate": 135.0}
    return _magnitude(name, share, most.get(name, 0.99), 6)


def rand_magnitude(name: OpName, step: int, size: tuple[int, int]) -> float:
    """Return the strength of an operation at a step below 31 for a (width, height): RandAugment's table."""
    share = step / (N_BINS - 1)
    most = {"ShearX": 0.3, "ShearY": 0.3, "Rotate": 30.0}
    most |= {"TranslateX": 150 / 331 * size[0], "TranslateY": 150 / 331 * size[1]}
    return _magnitude(name, share, most.get(name, 0.9), 4)


def _magnitude(name: OpName, share: float, most: float, n_bits: int) -> float:
    if name == "Posterize":
        return round(8 - share * n_bits)
    if name == "Solarize":
        return 1 - share
    return share * most if name in SIGNED else 0.0


def _signed(magnitude: float, name: OpName, draw: random.Random) -> float:
    return -magnitude if name in SIGNED and draw.random() < 0.5 else magnitude


def operate(image: Image.Image, name: OpName, magnitude: float) -> Image.Image:
    """Return an RGB image after one of the operations that both papers choose from, as torchvision does it."""
    functional = _functional()

    def affine(translate: tuple[int, int] = (0, 0), shear: tuple[float, float] = (0, 0), **at: Any) -> Image.Image:
        moved: Image.Image = functional.affine(image, 0.0, list(translate), 1.0, list(shear), **at)
        return moved

    angle = math.degrees(math.atan(magnitude))
    operations: dict[OpName, Callable[[], Image.Image]] = {
        "Identity": lambda: image,
        "ShearX": lambda: affine(shear=(angle, 0), center=[0, 0]),
        "ShearY": lambda: affine(shear=(0, angle), center=[0, 0]),
        "TranslateX": lambda: affine((int(magnitude), 0)),
        "TranslateY": lambda: affine((0, int(magnitude))),
        "Rotate": lambda: functional.rotate(image, magnitude),
        "Brightness": lambda: functional.adjust_brightness(image, 1 + magnitude),
        "Color": lambda: functional.adjust_saturation(image, 1 + magnitude),
        "Contrast": lambda: functional.adjust_contrast(image, 1 + magnitude),
        "Sharpness": lambda: functional.adjust_sharpness(image, 1 + magnitude),
        "Posterize": lambda: functional.posterize(image, int(magnitude)),
        "Solarize": lambda: functional.solarize(image, 255 * magnitude),
        "AutoContrast": lambda: functional.autocontrast(image),
        "Equalize": lambda: functional.equalize(image),
    }
    return operations[name]()


def _functional() -> Any:
    from torchvision.transforms.v2 import functional  # six seconds, only for the levels that need it

    return functional
