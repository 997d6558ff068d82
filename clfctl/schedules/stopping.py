"""Which epoch is the best and when early stopping fires: pure functions of the metrics so far."""

import math
from collections.abc import Sequence

from clfctl.schedules.base import Mode


def best_epoch(metrics: Sequence[float], mode: Mode) -> int | None:
    """Return the index of the first epoch with the best metric; NaN is never the best, None if all are."""
    known = [(metric, index) for index, metric in enumerate(metrics) if not math.isnan(metric)]
    if not known:
        return None
    return min(known)[1] if mode == "min" else min((-metric, index) for metric, index in known)[1]


def fired_after(metrics: Sequence[float], patience: int, mode: Mode) -> int | None:
    """Return after how many epochs early stopping first fires: `patience` of them in a row brought nothing better.

    None if it does not; a patience of 0 never fires.
    """
    if not patience:
        return None
    best, n_bad = math.nan, 0
    for n_epochs, metric in enumerate(metrics, 1):
        is_better = not math.isnan(metric) and (math.isnan(best) or (metric < best if mode == "min" else metric > best))
        best, n_bad = (metric, 0) if is_better else (best, n_bad + 1)
        if n_bad >= patience:
            return n_epochs
    return None
