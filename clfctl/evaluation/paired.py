"""Two accuracies on the same images: whether they differ, and by how much at least and at most."""

import math

from clfctl.evaluation.intervals import LEVEL, Interval, wilson

# Below this a difference is not taken for chance.
ALPHA = 1 - LEVEL


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
