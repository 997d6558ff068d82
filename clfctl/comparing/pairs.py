"""Two models on the same images: who is right where the other is wrong, and whether that may be chance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clfctl.evaluation.intervals import Interval
from clfctl.evaluation.paired import ALPHA as ALPHA
from clfctl.evaluation.paired import difference_interval as difference_interval
from clfctl.evaluation.paired import mcnemar as mcnemar


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


def holm(values: Sequence[float]) -> list[float]:
    """Return the p values as Holm (1979) corrects them for their number: the smallest times n, the next times n-1, …"""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, reached = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        reached = max(reached, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = reached
    return corrected


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
