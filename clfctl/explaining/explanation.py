"""What a model looks at in one image: the record that `clfctl.explain` returns."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from clfctl.data.pixels.decode import Pixels
from clfctl.explaining.heat import Floats, Heat, rows_of, spread

# A picture is drawn with as many pixels on its longer side, at least and at most.
LEAST_DRAWN, MOST_DRAWN = 256, 2048


@dataclass(frozen=True)
class Explanation:
    """What a model looks at in one image, to say how likely a class is.

    `class_name` is the class that is explained, `probability` what the model gives it, `predicted` its likeliest class.
    `size` is (height, width) of the upright picture; `layer` is the one that was looked at, of an ensemble that of each
    member, empty for methods of the image itself. `is_empty`: nothing in the image speaks for the class. `error` says
    why there is nothing else.
    """

    name: str
    class_name: str = ""
    probability: float = 0.0
    predicted: str = ""
    method: str = ""
    layer: str = ""
    size: tuple[int, int] = (0, 0)
    picture: Pixels | None = None
    heats: tuple[Heat, ...] = ()
    is_empty: bool = False
    error: str = ""

    def map(self) -> Floats:
        """Return the map (height, width) float32 over the upright picture; NaN where the model did not see it."""
        return spread(self._even(), self.size, self.size)

    def rows(self) -> Iterator[Floats]:
        """Yield the rows of `map`, some at a time."""
        return rows_of(self._even(), self.size, self.size)

    def has_heat(self) -> bool:
        """Return whether anything speaks for the class: of several members, in the mean of their maps."""
        if len(self.heats) == 1:
            return self.heats[0].top > 0
        return any((rows > 0).any() for rows in self.rows())

    def overlay(self, strength: float | None = None) -> Pixels:
        """Return the picture with the map over it, (H, W, 3) uint8, 256 to 2048 pixels on its longer side.

        `strength` in [0, 1] is how much of the map is seen.
        """
        from clfctl.explaining.overlay import STRENGTH, overlaid

        assert self.picture is not None
        height, width = self.picture.shape[:2]
        heat = spread(self._even(), self.size, (height, width))
        return overlaid(self.picture, heat, STRENGTH if strength is None else strength)

    def without_pictures(self) -> "Explanation":
        """Return what is small of it: of thousands of images not all pictures are to be kept."""
        return replace(self, picture=None, heats=())

    def _even(self) -> list[Heat]:
        """Return the maps of all members, of one size where there are several."""
        return [each.scaled() for each in self.heats] if len(self.heats) > 1 else [*self.heats]


def drawn_size(height: int, width: int) -> tuple[int, int]:
    """Return with how many pixels (H, W) a picture is drawn: small ones are enlarged by a whole factor."""
    longest = max(height, width)
    if longest < LEAST_DRAWN:
        factor = -(-LEAST_DRAWN // longest)
        return height * factor, width * factor
    ratio = min(1.0, MOST_DRAWN / longest)
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def enlarged_by_squares(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return a small picture with each pixel as a square."""
    factor = size[0] // pixels.shape[0]
    return np.repeat(np.repeat(pixels, factor, 0), factor, 1) if factor > 1 else pixels
