"""Classes that have many more images than others: counts, chances of being drawn, weights for the loss, a limit."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clfctl.data.sources.base import FileImages, Part
from clfctl.data.sources.splits import labels_of
from clfctl.errors import DataError
from clfctl.settings.data import Balance

# From this ratio of the largest class to the smallest on, the counts are shown.
UNEVEN = 1.5
N_SHOWN = 3


def with_chances(part: Part, balance: Balance) -> Part:
    """Return a part whose images are drawn as its weights and `balance` say; the part itself if all are drawn alike.

    With `sampler` the chances of each class sum up to the same; inside it they are in proportion to the weights. Raises
    DataError if all weights are 0.
    """
    weights = _weights(part)
    if balance != "sampler" and (weights == weights[0]).all():
        return part
    if balance == "sampler":
        labels = labels_of(part)
        weights = weights * _inverse(_sums(labels, weights))[labels]
    return replace(part, chances=weights / weights.sum())


def class_weights(part: Part, n_classes: int) -> NDArray[np.float64]:
    """Return the weight of each class in the loss, (n_classes,): one over its share of what is drawn, 1 on average."""
    weights = _weights(part)
    masses = _sums(labels_of(part), weights, n_classes)
    return _inverse(masses) * float(weights.sum() / np.count_nonzero(masses))


def describe_counts(part: Part, classes: Sequence[str], balance: Balance) -> list[str]:
    """Return a line about the images of each class if one has more than 1.5 times those of another, else none."""
    counts = np.bincount(labels_of(part), minlength=len(classes))
    if counts.max() <= UNEVEN * counts.min():
        return []
    order = sorted(range(len(classes)), key=lambda label: (-int(counts[label]), classes[label]))
    words = [f"{classes[label]} {counts[label]}" for label in order]
    if len(words) > 2 * N_SHOWN + 2:
        words = [*words[:N_SHOWN], "…", *words[-N_SHOWN:]]
    times = counts.max() / max(1, counts.min())
    what = (
        "`balance=sampler` or `balance=loss` evens it out"
        if balance == "none"
        else f"evened out by `balance={balance}`"
    )
    return [f"Counts {', '.join(words)} training images: {times:.1f} times; {what}"]


def _weights(part: Part) -> NDArray[np.float64]:
    """Return the weight of each image of a part, (N,). Raises DataError if all are 0."""
    if not isinstance(part.source, FileImages) or part.source.weights is None:
        return np.ones(len(part))
    weights = np.asarray(part.source.weights, np.float64)[np.asarray(part.indices, np.int64)]
    if not weights.any():
        hint = "an image of weight 0 is never drawn"
        raise DataError("the weights of all training images are 0", hint, field="data")
    return weights


def _sums(labels: NDArray[np.int64], weights: NDArray[np.float64], n_classes: int = 0) -> NDArray[np.float64]:
    """Return the sum of the weights of each class."""
    sums = np.zeros(max(n_classes, int(labels.max()) + 1))
    np.add.at(sums, labels, weights)
    return sums


def _inverse(masses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one over each number, 0 for 0."""
    return np.divide(1, masses, out=np.zeros(len(masses)), where=masses > 0)
