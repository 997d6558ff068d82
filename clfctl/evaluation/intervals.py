"""How far a share may be off, since it was measured on a limited number of images."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

N_RESAMPLES = 10_000
LEVEL = 0.95
# Standard deviations to either side of a normal mean.
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
_SEED = 0


@dataclass(frozen=True)
class Interval:
    """Limits of a number at LEVEL, and how they were found: `bootstrap`, `exact`, or whose they are."""

    low: float
    high: float
    method: str


def interval(n_right: int, n: int) -> Interval:
    """Return the interval of the share n_right / n (n > 0) by the percentile bootstrap (Efron 1979).

    A resample of n images, drawn with replacement, has as many right answers as a binomial draw of n and n_right / n:
    that is drawn 10,000 times, always the same ones. Where every answer is right, or none, each resample is the same
    and the bootstrap knows nothing; the limit is then the exact one of Clopper and Pearson (1934).
    """
    if n_right in (0, n):
        far = ((1 - LEVEL) / 2) ** (1 / n)
        return Interval(far, 1.0, "exact") if n_right else Interval(0.0, 1 - far, "exact")
    shares = np.random.default_rng(_SEED).binomial(n, n_right / n, N_RESAMPLES) / n
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Interval(low, high, "bootstrap")


def wilson(n_right: int, n: int) -> Interval:
    """Return the score interval of the share n_right / n (n > 0) of Wilson (1927)."""
    share, extra = n_right / n, Z**2 / n
    middle = (share + extra / 2) / (1 + extra)
    far = math.sqrt(share * (1 - share) * extra + extra**2 / 4) / (1 + extra)
    return Interval(max(0.0, middle - far), min(1.0, middle + far), "Wilson")
