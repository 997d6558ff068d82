"""Two models on the same images: who is right where the other is wrong, and whether that may be chance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clfctl.evaluation.intervals import LEVEL, N_RESAMPLES, Interval

# Below this a difference is not taken for chance.
ALPHA = 0.05
_SEED = 0


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
        """Whether the difference is too large for chance."""
        return self.p_holm < ALPHA


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


def difference_interval(only_first: int, only_second: int, n: int) -> Interval:
    """Return the interval of the difference of two accuracies on the same n images, by the percentile bootstrap.

    A resample has as many images of each kind as a multinomial draw: always the same ones. Where the two never differ
    each resample is the same; the limits are then what the rule of Clopper and Pearson (1934) leaves possible.
    """
    if not only_first + only_second:
        far = 1 - ((1 - LEVEL) / 2) ** (1 / n)
        return Interval(-far, far, "exact")
    shares = np.array([only_first, only_second, n - only_first - only_second]) / n
    draws = np.random.default_rng(_SEED).multinomial(n, shares, N_RESAMPLES)
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Interval(low, high, "bootstrap")


def pairs_of(right: NDArray[np.bool_]) -> list[Pair]:
    """Return every pair of runs; `right` (runs, images) says which answers were right."""
    found = []
    n_runs, n = right.shape
    for first in range(n_runs):
        for second in range(first + 1, n_runs):
            ours, theirs = right[first], right[second]
            only_first, only_second = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
            both, neither = int((ours & theirs).sum()), int((~ours & ~theirs).sum())
            p, limits = mcnemar(only_first, only_second), difference_interval(only_first, only_second, n)
            found.append(Pair(first, second, both, only_first, only_second, neither, p, p, limits))
    corrected = holm([each.p for each in found])
    return [replace(each, p_holm=p) for each, p in zip(found, corrected, strict=True)]
