"""How the output of a layer lies over an image: a map of channels, a map with its channels last, or a row of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

Kind = Literal["channels first", "channels last", "tokens"]
# By what networks make an image smaller: powers of two, and patches of 7, 14 and 28 pixels.
STEPS = (1, 2, 4, 7, 8, 14, 16, 28, 32, 64)


@dataclass(frozen=True)
class Layout:
    """A map of `n_channels` over `height` x `width` places; the first `n_before` tokens are none of the image's."""

    kind: Kind
    n_channels: int
    height: int
    width: int
    n_before: int = 0

    def __str__(self) -> str:
        return f"{self.n_channels} x {self.height} x {self.width}"

    @property
    def least_side(self) -> int:
        """The shorter side, in places."""
        return min(self.height, self.width)

    def to_map(self, output: torch.Tensor) -> torch.Tensor:
        """Return (B, C, h, w) of a layer's output, or of the gradient by it."""
        if self.kind == "channels first":
            return output
        if self.kind == "channels last":
            return output.permute(0, 3, 1, 2)
        tokens = output[:, self.n_before :]
        return tokens.transpose(1, 2).reshape(len(output), self.n_channels, self.height, self.width)


def layout_of(
    shape: Sequence[int], image: tuple[int, int], n_before: Sequence[int] = (0, 1), *, is_last: bool = False
) -> Layout | None:
    """Return how an output of a shape lies over images of (H, W) pixels, None if it does not.

    `n_before` are the numbers of tokens that may stand before those of the image; `is_last`: where both orders of a map
    would do, its channels are last.
    """
    if len(shape) == 4:
        first = Layout("channels first", shape[1], shape[2], shape[3]) if _fits(shape[2:], image) else None
        last = Layout("channels last", shape[3], shape[1], shape[2]) if _fits(shape[1:3], image) else None
        return (last or first) if is_last else (first or last)
    if len(shape) == 3:
        for before in n_before:
            for grid in _grids(image):
                if grid[0] * grid[1] == shape[1] - before:
                    return Layout("tokens", shape[2], *grid, before)
    return None


def _fits(grid: Sequence[int], image: tuple[int, int]) -> bool:
    """Return whether a grid is an image made smaller by one of the steps; a few places are lost without padding."""
    return any(
        all(abs(has - side / step) <= max(1.5, 0.06 * side / step) for has, side in zip(grid, image, strict=True))
        for step in STEPS
    )


def _grids(image: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the grids that tokens of an image may have, the finest first."""
    down = [(max(1, image[0] // step), max(1, image[1] // step)) for step in STEPS]
    up = [(-(-image[0] // step), -(-image[1] // step)) for step in STEPS]
    return list(dict.fromkeys((*down, *up)))
