"""Keeping some images for validation: the same ones for the same seed, and of every class its share."""

from collections.abc import Sequence

import numpy as np

from clfctl.data.keys import SPLIT, permutation
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
            hint = "add images, remove the class, or train without validation: --val-split 0"
            raise DataError(f"--data: class {name} has a single image, which cannot be split off for validation", hint)
        if len(members) == 0:
            continue
        n_val = min(max(1, round(len(members) * share)), len(members) - 1)
        val += members[permutation(len(members), SPLIT, seed, label)[:n_val]].tolist()
    kept = set(val)
    return [i for i in range(len(labels)) if i not in kept], sorted(val)
