"""A heat map over a picture: what a method gives, brought back to the coordinates of the picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clfctl.data.pixels.seen import Seen

Floats = NDArray[np.float32]
_BLOCK = 1 << 20  # values


@dataclass(frozen=True)
class Heat:
    """`values` (h, w) float32 of the part of a picture that a model saw; the more, the more it speaks for the class."""

    values: Floats
    seen: Seen

    @property
    def top(self) -> float:
        """The largest value, 0 where nothing speaks for the class."""
        return max(0.0, float(self.values.max()))

    def scaled(self) -> "Heat":
        """Return the same map with 1 as its largest value, above or below 0.

        The gradients of two networks are not of one size. By the largest value above 0 alone, one that is hardly there
        would make of what speaks against the class more than all other members say.
        """
        largest = float(np.abs(self.values).max())
        return Heat(self.values / np.float32(largest or 1.0), self.seen)


@dataclass(frozen=True)
class _Axis:
    """Where each of n places lies between two of a map's rows or columns: the first, the next, and how far between."""

    first: NDArray[np.int64]
    next: NDArray[np.int64]
    share: Floats
    is_seen: NDArray[np.bool_]


def _axis(n: int, picture: int, seen: tuple[float, float], n_values: int) -> _Axis:
    """Return the places of `n` pixels that a side of `picture` pixels is drawn with, in a map of `n_values`."""
    at = (np.arange(n) + 0.5) * (picture / n)
    share = (at - seen[0]) / (seen[1] - seen[0])
    place = np.clip(share * n_values - 0.5, 0, n_values - 1)
    first = np.floor(place).astype(np.int64)
    following = np.minimum(first + 1, n_values - 1)
    return _Axis(first, following, (place - first).astype(np.float32), (share >= 0) & (share <= 1))


def rows_of(heats: Sequence[Heat], picture: tuple[int, int], size: tuple[int, int]) -> Iterator[Floats]:
    """Yield blocks of rows of the mean of some maps, over a `picture` of (H, W) pixels, drawn with `size` (H, W).

    Bilinear between the middles of a map's cells. NaN where no model saw the picture; where some of several did, it is
    the mean of theirs. A block at a time: a map as large as a photograph need not be in memory.
    """
    height, width = size
    prepared = []
    for heat in heats:
        across = _axis(width, picture[1], (heat.seen.left, heat.seen.right), heat.values.shape[1])
        down = _axis(height, picture[0], (heat.seen.top, heat.seen.bottom), heat.values.shape[0])
        columns = heat.values[:, across.first] * (1 - across.share) + heat.values[:, across.next] * across.share
        prepared.append((columns, across, down))
    n_rows = max(1, _BLOCK // width)
    for start in range(0, height, n_rows):
        part = slice(start, min(height, start + n_rows))
        total, count = np.zeros((2, part.stop - start, width), np.float32)
        for columns, across, down in prepared:
            share = down.share[part, None]
            values = columns[down.first[part]] * (1 - share) + columns[down.next[part]] * share
            is_seen = down.is_seen[part, None] & across.is_seen
            total += np.where(is_seen, values, 0)
            count += is_seen
        yield np.where(count > 0, total / np.maximum(count, 1), np.float32(np.nan)).astype(np.float32, copy=False)


def spread(heats: Sequence[Heat], picture: tuple[int, int], size: tuple[int, int]) -> Floats:
    """Return all rows of `rows_of` at once, (H, W) float32."""
    return np.concatenate([*rows_of(heats, picture, size)])


def enlarged(values: Floats, size: tuple[int, int]) -> Floats:
    """Return a map (h, w) with `size` (H, W) values over the same area."""
    return spread([Heat(values, Seen(0, 0, size[1], size[0]))], size, size)
