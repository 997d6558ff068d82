"""Mean, spread and middle of a few numbers; the statistics module costs every start of the program 15 ms."""

import math
from collections.abc import Iterable, Sequence


def mean_of(numbers: Sequence[float]) -> float:
    """Return the mean of one number or more."""
    return math.fsum(numbers) / len(numbers)


def deviation_of(numbers: Sequence[float]) -> float:
    """Return the standard deviation of one number or more around their mean."""
    mean = mean_of(numbers)
    return math.sqrt(mean_of([(each - mean) ** 2 for each in numbers]))


def middle_of(numbers: Iterable[float]) -> float:
    """Return the median of one number or more."""
    ordered = sorted(numbers)
    low, high = (len(ordered) - 1) // 2, len(ordered) // 2
    return (ordered[low] + ordered[high]) / 2
