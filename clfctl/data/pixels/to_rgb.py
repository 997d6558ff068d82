"""Any mode of Pillow's, and any array, as RGB of 8 bits: transparency laid on white, other numbers scaled."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clfctl.data.pixels.unreadable import BadImageError

Range = tuple[float, float]
SIXTEEN_BITS: Range = (0.0, 65535.0)
# The largest values that white may be, smallest first, by the kind of number: integers and floats.
_WHITES = {"i": (255, 65535), "u": (255, 65535), "f": (1, 255, 65535)}


def value_range(image: Image.Image) -> Range:
    """Return which values are black and white in a loaded grey image of more than 8 bits; see `_range_of`.

    16 bits are 0 to 65535 whatever they hold. It means nothing for other images.
    """
    # A PGM of more than 8 bits is scaled to 16 by Pillow, in numbers of 32 bits.
    if image.mode not in ("I", "F") or (image.format == "PPM" and image.mode == "I"):
        return SIXTEEN_BITS
    return _range_of(np.asarray(image))


def to_rgb(image: Image.Image, black_to_white: Range = SIXTEEN_BITS) -> Image.Image:
    """Return an image in RGB; `black_to_white` is for grey of more than 8 bits. Raises what Pillow's conversions do."""
    key = image.info.get("transparency")
    mode = image.mode
    if mode == "RGB" and key is None:
        return image
    if mode == "F" or mode.startswith("I"):
        values = np.asarray(image)
        levels = _levels(values, black_to_white)
        if isinstance(key, int):
            levels[values == key] = 255  # transparent, and laid on white
        return Image.fromarray(levels).convert("RGB")
    if image.has_transparency_data:
        # Pillow goes from La to RGBA only by way of LA.
        seen = (image.convert("LA") if mode == "La" else image).convert("RGBA")
        white = Image.new("RGBA", seen.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, seen).convert("RGB")
    return _from_lab(image) if mode == "LAB" else image.convert("RGB")


def array_to_rgb(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 of an array (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA of any numbers.

    uint8 stays as it is, True is white, uint16 goes from 0 to 65535; of other numbers see `_range_of`. Raises
    BadImageError for an array that is not an image.
    """
    n_channels = values.shape[2] if values.ndim == 3 else 1
    if values.ndim not in (2, 3) or n_channels not in (1, 3, 4) or not values.size:
        shape = " x ".join(map(str, values.shape)) or "a single number"
        raise BadImageError(f"is an array of {shape}; an image is H x W, H x W x 3 or H x W x 4")
    if values.dtype == bool:
        values = values.astype(np.uint8) * 255
    if values.dtype.kind not in _WHITES:
        raise BadImageError(f"is an array of {values.dtype}; an image is of integers, floats or bool")
    if values.dtype != np.uint8:
        values = _levels(values, SIXTEEN_BITS if values.dtype == np.uint16 else _range_of(values))
    image = Image.fromarray(values[..., 0] if values.ndim == 3 and n_channels == 1 else values)
    return np.array(to_rgb(image))


def _range_of(values: NDArray[Any]) -> Range:
    """Return which values are black and white in an image that does not say, by what it holds.

    Integers go from 0 to 255 if none is larger, else to 65535 if none is larger; floats the same, and before that to 1.
    With values below 0 or above 65535 it is from the smallest to the largest.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    white = next((white for white in _WHITES[values.dtype.kind] if high <= white), None)
    return (low, high) if low < 0 or white is None else (0.0, float(white))


def _levels(values: NDArray[Any], black_to_white: Range) -> NDArray[np.uint8]:
    """Return values scaled to 0 to 255, uint8. By Pillow all above 255 of 65535 would be white."""
    black, white = black_to_white
    numbers = np.nan_to_num(values.astype(np.float64), nan=black, posinf=white, neginf=black).clip(black, white)
    levels: NDArray[np.uint8] = np.rint((numbers - black) / (((white - black) or 1.0) / 255)).astype(np.uint8)
    return levels


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms  # Pillow converts CIELAB only by profiles

    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")
    assert converted is not None  # it is only where it was told to change the image itself
    return converted
