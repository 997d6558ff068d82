"""Keeping some images for validation: the same ones for the same seed, and of every class its share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clfctl.data.keys import LIMIT, SPLIT, permutation
from clfctl.data.sources.base import Part
from clfctl.errors import DataError


def stratified_split(
    labels: Sequence[int], share: float, seed: int, classes: Sequence[str]
) -> tuple[list[int], list[int]]:
    """Return the indices of the training and of the validation images, both ascending.

    Each class gives `share` of its images, rounded, and keeps and gives at least one. Raises DataError for a class of
    a single image. `share` 0 keeps every image for training.
    """
    if share == 0:
        return list(range(len(labels))), []
    by_class = np.asarray(labels)
    val: list[int] = []
    for label, name in enumerate(classes):
        members = np.flatnonzero(by_class == label)
        if len(members) == 1:
            hint = "add images, remove the class, or train without validation: `val_split=0`"
            what = f"class {name} has a single image, which cannot be kept for validation"
            raise DataError(what, hint, field="data")
        if len(members) == 0:
            continue
        n_val = min(max(1, round(len(members) * share)), len(members) - 1)
        val += members[permutation(len(members), SPLIT, seed, label)[:n_val]].tolist()
    kept = set(val)
    return [i for i in range(len(labels)) if i not in kept], sorted(val)


def labels_of(part: Part) -> NDArray[np.int64]:
    """Return the class number of each image of a part, (N,)."""
    return np.asarray(part.source.labels, np.int64)[np.asarray(part.indices, np.int64)]


def limit_classes(part: Part, n: int, seed: int) -> Part:
    """Return at most the first `n` images of each class, by a permutation of (seed, class), in their old order.

    A larger `n` keeps what a smaller one keeps; `n` 0 keeps all.
    """
    if n == 0:
        return part
    labels = labels_of(part)
    kept = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        kept.append(members[permutation(len(members), LIMIT, seed, int(label))[:n]])
    places = np.sort(np.concatenate(kept))
    return Part(part.source, np.asarray(part.indices, np.int64)[places].tolist())
