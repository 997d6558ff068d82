"""How far a share may be off, since it was measured on a limited number of images."""

from dataclasses import dataclass

import numpy as np

N_RESAMPLES = 10_000
LEVEL = 0.95
_SEED = 0


@dataclass(frozen=True)
class Interval:
    """Limits of a share at LEVEL, and how they were found: `bootstrap` or `exact`."""

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
