"""The size of the images that a model gets: one number for a square, HxW for everything else."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import PlainSerializer, PlainValidator

USUAL = 224  # pixels, where nothing else is stated or known
_WRITTEN = re.compile(r"\s*(\d{1,9})\s*(?:[x×X]\s*(\d{1,9})\s*)?")


@dataclass(frozen=True)
class Rectangle:
    """Height and width in pixels, of an image that is no square; prints as 128x256, as it is typed."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


ImageSize: TypeAlias = int | Rectangle
Auto: TypeAlias = Literal["auto"]


def sides(size: ImageSize) -> tuple[int, int]:
    """Return height and width in pixels."""
    return (size.height, size.width) if isinstance(size, Rectangle) else (size, size)


def image_size(height: int, width: int) -> ImageSize:
    """Return height and width as one value: a number where they are the same. Raises ValueError below one pixel."""
    if min(height, width) < 1:
        raise ValueError(f"an image of {height}x{width} has no pixels")
    return height if height == width else Rectangle(height, width)


def read_image_size(value: Any) -> ImageSize:
    """Return the size that a number, 128x256 or a pair of numbers stands for. Raises ValueError for anything else."""
    match value:
        case bool():
            pass
        case Rectangle():
            return image_size(value.height, value.width)
        case int():
            return image_size(value, value)
        case float() if value.is_integer():
            return image_size(int(value), int(value))
        case str() if found := _WRITTEN.fullmatch(value):
            return image_size(int(found[1]), int(found[2] or found[1]))
        case Sequence() if len(value) == 2 and all(type(each) is int for each in value):
            return image_size(*value)
    raise ValueError(f"{value!r} is no size of an image")


def as_json(size: ImageSize) -> int | str:
    """Return what JSON and TOML keep of a size, for `read_image_size`."""
    return str(size) if isinstance(size, Rectangle) else size


def size_in_words(size: ImageSize) -> str:
    """Return a size for people: `224 × 224`, the height first."""
    return " × ".join(map(str, sides(size)))


def _read(value: Any) -> ImageSize | Auto:
    return "auto" if value == "auto" else read_image_size(value)


def _written(value: ImageSize | Auto) -> int | str:
    return value if isinstance(value, str) else as_json(value)


SizeSetting = Annotated[ImageSize | Auto, PlainValidator(_read), PlainSerializer(_written)]
