"""Which part of a picture a model sees, in the picture's own coordinates: the way back from its pixels. No torch."""

from dataclasses import dataclass

from clfctl.data.pixels.transform import Preprocess


@dataclass(frozen=True)
class Seen:
    """The edges of what a model gets, in pixels of the upright picture, from its top left corner.

    They are no whole numbers. Where the model sees a frame around the picture they lie outside of it.
    """

    left: float
    top: float
    right: float
    bottom: float


def seen_part(width: int, height: int, preprocess: Preprocess) -> Seen:
    """Return which part of an upright picture of a size `to_pixels` shows.

    A JPEG that is decoded at a part of its size may be off by less than a pixel of what was decoded.
    """
    scaling = preprocess.scaling
    left, top, right, bottom = scaling.middle(width, height)
    scaled_height, scaled_width = scaling.size_of(right - left, bottom - top)
    first_x, last_x = _edges(left, right, scaled_width, preprocess.size[1])
    first_y, last_y = _edges(top, bottom, scaled_height, preprocess.size[0])
    return Seen(first_x, first_y, last_x, last_y)


def _edges(first: int, last: int, scaled: int, side: int) -> tuple[float, float]:
    """Return where in the picture the first and the last of `side` pixels end: as `to_pixels` frames and cuts."""
    frame = max(0, (side - scaled) // 2)
    cut = round((max(side, scaled) - side) / 2) - frame
    step = (last - first) / scaled
    return first + cut * step, first + (cut + side) * step
