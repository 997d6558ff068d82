"""Two models on the same images: who is right where the other is wrong, and whether that may be chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clfctl.evaluation.intervals import LEVEL, Interval, wilson

# Below this a difference is not taken for chance.
ALPHA = 1 - LEVEL


@dataclass(frozen=True)
class Pair:
    """Two runs, by their places in the comparison, on n images.

    `only_first` were right in the first alone, `only_second` in the second alone. `p` is that of McNemar's exact test,
    `p_holm` what is left of it where several pairs are looked at; `difference` is the accuracy of the first minus that
    of the second.
    """

    first: int
    second: int
    both: int
    only_first: int
    only_second: int
    neither: int
    p: float
    p_holm: float
    interval: Interval

    @property
    def n_images(self) -> int:
        """The images that both answered."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """The accuracy of the first minus that of the second."""
        return (self.only_first - self.only_second) / self.n_images

    @property
    def is_told_apart(self) -> bool:
        """Whether the difference is too large for chance, also as one among all pairs."""
        return self.p_holm < ALPHA

    @property
    def may_be_equal(self) -> bool:
        """Whether chance alone could have made the difference of these two, if no other pair were looked at."""
        return self.p >= ALPHA


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p of McNemar's test (1947), exactly: a fair coin for each image that one alone has right.

    That is twice the smaller tail of Binomial(n, 1/2), at most 1, in whole numbers down to the last division.
    """
    n, least = only_first + only_second, min(only_first, only_second)
    term = tail = 1
    for k in range(least):
        term = term * (n - k) // (k + 1)
        tail += term
    return min(1.0, float(2 * tail / (1 << n)))


def holm(values: Sequence[float]) -> list[float]:
    """Return the p values as Holm (1979) corrects them for their number: the smallest times n, the next times n-1, …"""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, reached = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        reached = max(reached, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = reached
    return corrected


def difference_interval(both: int, only_first: int, only_second: int, neither: int) -> Interval:
    """Return the interval of the difference of two accuracies on the same images: Newcombe's (1998, method 10).

    It puts Wilson's (1927) intervals of the two shares together by how they go together. It holds 0 wherever the exact
    test cannot tell the two apart: that test is the more careful one where few images differ.
    """
    n = both + only_first + only_second + neither
    first, second = both + only_first, both + only_second
    difference = (only_first - only_second) / n
    ours, theirs = wilson(first, n), wilson(second, n)
    down, up = first / n - ours.low, ours.high - first / n
    their_down, their_up = second / n - theirs.low, theirs.high - second / n
    phi = _going_together(both, only_first, only_second, neither)
    low = difference - math.sqrt(max(0.0, down**2 - 2 * phi * down * their_up + their_up**2))
    high = difference + math.sqrt(max(0.0, up**2 - 2 * phi * up * their_down + their_down**2))
    if mcnemar(only_first, only_second) >= ALPHA:
        low, high = min(low, 0.0), max(high, 0.0)
    return Interval(max(-1.0, low), min(1.0, high), "Newcombe")


def _going_together(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Return the correlation of two shares, with Newcombe's correction for continuity."""
    rows = (both + only_first) * (only_second + neither), (both + only_second) * (only_first + neither)
    if not all(rows):
        return 0.0
    n, product = both + only_first + only_second + neither, both * neither - only_first * only_second
    return (product if product <= 0 else max(0.0, product - n / 2)) / math.sqrt(rows[0] * rows[1])


def pairs_of(right: NDArray[np.bool_], firsts: int | None = None) -> list[Pair]:
    """Return every pair of runs; `right` (runs, images) says which answers were right.

    With `firsts` only those of the first so many runs with those after each of them.
    """
    found = []
    n_runs = len(right)
    for first in range(n_runs if firsts is None else firsts):
        for second in range(first + 1, n_runs):
            ours, theirs = right[first], right[second]
            only_first, only_second = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
            both, neither = int((ours & theirs).sum()), int((~ours & ~theirs).sum())
            p, limits = mcnemar(only_first, only_second), difference_interval(both, only_first, only_second, neither)
            found.append(Pair(first, second, both, only_first, only_second, neither, p, p, limits))
    corrected = holm([each.p for each in found])
    return [replace(each, p_holm=p) for each, p in zip(found, corrected, strict=True)]
