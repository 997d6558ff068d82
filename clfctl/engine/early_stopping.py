"""When to stop, and which epoch is the best: pure functions of the metrics so far."""

import math
from collections.abc import Sequence
from typing import Literal

Mode = Literal["min", "max"]


def best_epoch(metrics: Sequence[float], mode: Mode) -> int | None:
    """Return the index of the first epoch with the best metric; NaN is never the best, None if all are."""
    known = [(metric, index) for index, metric in enumerate(metrics) if not math.isnan(metric)]
    if not known:
        return None
    return min(known)[1] if mode == "min" else min((-metric, index) for metric, index in known)[1]


def should_stop(metrics: Sequence[float], patience: int, mode: Mode) -> bool:
    """Return whether the last `patience` epochs brought nothing better; patience 0 never stops."""
    if patience == 0:
        return False
    best = best_epoch(metrics, mode)
    return len(metrics) - 1 - (-1 if best is None else best) >= patience
