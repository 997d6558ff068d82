"""Four rates that a curve of smoothed losses suggests: equal to what fastai's functions of these names return.

Each takes rates in rising order and their losses, of which there are as many.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

# Fewer points are no curve.
LEAST_POINTS = 8
# By how much the slope of the loss, per step of a hundred, may change over the interval slide rule.
SLIDE_THRESHOLD = 0.005


def steepest(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Return the rate at which the loss falls fastest, over the logarithm of the rate."""
    logs = [math.log(rate) for rate in rates]
    slopes = [(b - a) / (y - x) for (a, b), (x, y) in zip(pairwise(losses), pairwise(logs), strict=True)]
    return rates[slopes.index(min(slopes))]


def valley(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Return the rate in the middle of the longest valley: of the longest series of losses each below the one before.

    Other losses may lie between those of the series.
    """
    lengths = list[int]()
    for here, loss in enumerate(losses):
        lengths.append(1 + max((lengths[n] for n in range(here) if losses[n] > loss), default=0))
    n = max(lengths)
    end = lengths.index(n)
    third = n / 3
    # The series is taken to be as wide as it is long, which it is where no other loss lies between.
    return rates[max(0, end - n + int(third) + int(third / 2))]


def slide(
    rates: Sequence[float], losses: Sequence[float], width: int = 15, threshold: float = SLIDE_THRESHOLD
) -> float | None:
    """Return the left end of an interval that slides from the right until the slopes at both its ends are alike.

    It is the largest rate from which on the loss has begun to explode. None where the interval is longer than the
    curve.
    """
    slopes = _gradient(losses)
    right, found = len(losses) - 1, None
    if right - width >= 0:
        found = rates[right - width]
    while right - width >= 0 and abs(slopes[right] - slopes[right - width]) > threshold:
        found = rates[right - width]
        right -= 1
    return found


def minimum(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Return a tenth of the rate at which the loss is least."""
    return rates[list(losses).index(min(losses))] / 10


def _gradient(values: Sequence[float]) -> list[float]:
    """Return what numpy's `gradient` does: half of the difference of both neighbours, at the ends of the one."""
    last = len(values) - 1
    bounds = [(max(0, n - 1), min(last, n + 1)) for n in range(len(values))]
    return [(values[high] - values[low]) / (high - low) for low, high in bounds]
