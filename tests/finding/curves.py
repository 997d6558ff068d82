"""Curves of losses over rising rates, of every shape that a range test has."""

import math


def rates(n: int) -> list[float]:
    """Return the rates of fastai's sweep from its tenth step on."""
    return [1e-7 * 1e8 ** ((10 + i) / 100) for i in range(n)]


def _curve(n: int, start: float, fall: float, middle: float, width: float, rise: float, wave: float) -> list[float]:
    """Return losses that fall around `middle`, explode from `rise` on and swing by `wave`."""
    return [
        round(
            start
            - fall / (1 + math.exp((middle - i) / width))
            + math.exp((i - rise) / 2.5)
            + wave * math.sin(1.7 * i) * math.cos(0.31 * i * i),
            6,
        )
        for i in range(n)
    ]


def _added(one: list[float], other: list[float]) -> list[float]:
    return [round(a + b, 6) for a, b in zip(one, other, strict=True)]


CURVES: dict[str, list[float]] = {
    "smooth": _curve(85, 2.3, 1.5, 50, 6, 84, 0.0),
    "noisy": _curve(85, 2.4, 1.2, 45, 8, 82, 0.05),
    "late": _curve(75, 4.6, 0.6, 60, 3, 73, 0.01),
    "early": _curve(60, 1.1, 0.7, 15, 4, 52, 0.02),
    "still falling": _curve(85, 2.3, 2.0, 80, 10, 200, 0.02),
    "flat": _curve(85, 0.7, 0.0, 40, 5, 200, 0.03),
    "twice": _added(_curve(85, 1.5, 0.6, 20, 3, 200, 0.0), _curve(85, 1, 0.9, 60, 3, 80, 0.01)),
    "rising": _curve(40, 0.3, 0.0, 20, 4, 25, 0.004),
}
