"""When early stopping fires: a pure function of the metrics so far."""

import math
from collections.abc import Sequence

from clfctl.schedules.base import Mode


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
