"""Whether a model is as often right as it says it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_BINS = 15


@dataclass(frozen=True)
class Bin:
    """The images whose confidence is in (low, high]: how many, their mean confidence, and the share that is right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error in [0, 1], and the bins that hold images."""

    ece: float
    bins: tuple[Bin, ...]


def calibration(confidences: NDArray[np.float32], is_right: NDArray[np.bool_], n_bins: int = N_BINS) -> Calibration:
    """Compare the confidence (N,) in the answer with how often it is right (N,), N > 0.

    ECE: over bins of equal width, the mean distance between the two, weighted by images (Guo et al. 2017,
    arXiv:1706.04599).
    """
    values = confidences.astype(np.float64)
    edges, places = np.linspace(0, 1, n_bins + 1), bins_of(confidences, n_bins)
    counts, right, total = (
        np.bincount(places, weights, minlength=n_bins) for weights in (None, is_right.astype(np.float64), values)
    )
    limits = edges.tolist()
    bins = tuple(
        Bin(limits[i], limits[i + 1], int(counts[i]), float(total[i] / counts[i]), float(right[i] / counts[i]))
        for i in np.flatnonzero(counts).tolist()
    )
    return Calibration(_ece(bins, len(values)), bins)


def bins_of(confidences: NDArray[np.float32], n_bins: int = N_BINS) -> NDArray[np.int64]:
    """Return the bin of each confidence (N,), from 0."""
    edges = np.linspace(0, 1, n_bins + 1)
    return np.clip(np.digitize(confidences.astype(np.float64), edges, right=True) - 1, 0, n_bins - 1)


def _ece(bins: Sequence[Bin], n: int) -> float:
    return sum(each.n * abs(each.accuracy - each.confidence) for each in bins) / n
