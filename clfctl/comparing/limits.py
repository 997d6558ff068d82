"""How far the numbers of a run may be off: its images are drawn again, many times."""

import math
from collections.abc import Iterator

import numpy as np

from clfctl.evaluation.calibration import N_BINS, bins_of
from clfctl.evaluation.intervals import LEVEL, Interval, Z
from clfctl.evaluation.metrics import Metrics
from clfctl.evaluation.outputs import Outputs

# Fewer than of a share alone: here every image is drawn.
N_RESAMPLES = 2000
_SEED = 0
# What is computed of each drawing, in this order.
NAMES = ("f1", "balanced_accuracy", "kappa", "ece")


def limits_of(metrics: Metrics, outputs: Outputs) -> dict[str, Interval]:
    """Return how far the numbers may be off, which are of these answers; the loss as a normal mean, the rest drawn.

    For F1, balanced accuracy, kappa and the calibration error as many images are drawn with replacement, and the number
    is computed of those (percentile bootstrap, Efron 1979). A calibration error grows with every drawing, since chance
    alone sets a bin off: by what the middle one has grown, the limits are set back. They say how much the number would
    change with other images, and nothing of what it has grown already by these being few.
    """
    found = {"top1": metrics.top1_interval}
    if metrics.top5_interval:
        found["top5"] = metrics.top5_interval
    n = len(outputs.losses)
    if n > 1:
        off = Z * float(outputs.losses.std(ddof=1, dtype=np.float64)) / math.sqrt(n)
        found["loss"] = Interval(max(0.0, metrics.loss - off), metrics.loss + off, "normal")
    drawn = np.array([*resampled(outputs, len(metrics.classes))])
    for name, values in zip(NAMES, drawn.T, strict=True):
        known = values[np.isfinite(values)]
        if name == "ece":
            known = np.maximum(known - np.median(known) + metrics.calibration.ece, 0.0)
        # Where every answer is right, or none, each drawing says the same, and nothing of what others would.
        if len(np.unique(known)) > 1 and (name != "kappa" or metrics.kappa is not None):
            low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
            found[name] = Interval(low, high, "bootstrap")
    return found


def resampled(outputs: Outputs, n_classes: int, n_resamples: int = N_RESAMPLES) -> Iterator[tuple[float, ...]]:
    """Yield the NAMES of as many images, drawn with replacement, always the same ones; kappa is NaN without chance."""
    labels, predicted, n = outputs.labels, outputs.predicted, len(outputs.labels)
    is_right, confidences = predicted == labels, outputs.probabilities.max(axis=1)
    gaps, bins = is_right - confidences.astype(np.float64), bins_of(confidences)
    draws = np.random.default_rng(_SEED)
    for _ in range(n_resamples):
        times = np.bincount(draws.integers(n, size=n), minlength=n)
        support = np.bincount(labels, times, n_classes)
        answers = np.bincount(predicted, times, n_classes)
        right = np.bincount(labels, times * is_right, n_classes)
        there = support > 0
        f1 = float((2 * right[there] / (support + answers)[there]).mean())
        recall = float((right[there] / support[there]).mean())
        by_chance = float(support @ answers) / n**2
        kappa = (float(right.sum()) / n - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan
        yield f1, recall, kappa, float(np.abs(np.bincount(bins, times * gaps, N_BINS)).sum()) / n
