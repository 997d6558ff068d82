"""Whether what was seen falls: a line through it, and Student's test of its slope. No numpy, no scipy."""

import math

from clfctl.schedules.recorded import Window

# Fewer points lie on a line whatever they are.
FEWEST = 3
EXACT = 1e-15


def falls(window: Window, confidence: float) -> bool | None:
    """Return whether the losses of a window fall: the slope of the line through them is below 0 at that confidence.

    The one-sided t-test of ordinary least squares: t = slope / its standard error, with n - 2 degrees of freedom, is
    so low that without a slope it would be only in `1 - confidence` of all cases. None: too few to tell.
    """
    n = window.n
    if n < FEWEST:
        return None
    x_spread = n * (n * n - 1) / 12
    slope = window.trend / x_spread
    residual = window.spread - slope * window.trend
    if not residual > 0:  # all on the line, or no number
        return slope < 0
    t = slope / math.sqrt(residual / (n - 2) / x_spread)
    return below(t, n - 2) <= 1 - confidence


def below(t: float, freedom: float) -> float:
    """Return how much of Student's distribution with so many degrees of freedom lies below `t`."""
    whole = freedom + t * t
    tail = _incomplete_beta(freedom / 2, 0.5, freedom / whole, t * t / whole) / 2
    return tail if t < 0 else 1 - tail


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b) by its continued fraction (DLMF 8.17.22).

    `rest` is 1 - x, of which little is left where it is taken from x near 1.
    """
    if not x or not rest:
        return x
    if x > (a + 1) / (a + b + 2):  # there the fraction converges slowly
        return 1 - _incomplete_beta(b, a, rest, x)
    scale = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)) / a
    fraction, c, d = 1.0, 1.0, 0.0  # Lentz's method, from the front
    for number in range(1, 1000):
        m = number // 2
        if number % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / (1 + term * d), 1 + term / c
        fraction *= c * d
        if abs(c * d - 1) < EXACT:
            break
    return scale / fraction
