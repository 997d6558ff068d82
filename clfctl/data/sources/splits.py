"""Keeping some images for validation: the same ones for the same seed, and of every class its share."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clfctl.data.keys import LIMIT, SPLIT, permutation
from clfctl.data.sources.base import Part
from clfctl.data.sources.size import n_held_out


def stratified_split(labels: Sequence[int], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the indices of the training and of the validation images, both ascending.

    Each class gives `share` of its images, rounded, and keeps and gives at least one; a single one is for training.
    `share` 0 keeps every image for training.
    """
    if share == 0:
        return list(range(len(labels))), []
    val: list[int] = []
    for label, members in _members(np.asarray(labels, np.int64)):
        n_val = n_held_out(len(members), share)
        if not n_val:
            continue
        val += members[permutation(len(members), SPLIT, seed, label)[:n_val]].tolist()
    kept = set(val)
    return [i for i in range(len(labels)) if i not in kept], sorted(val)


def about_singles(labels: Sequence[int], classes: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence that names the classes of a single image, which cannot be split; nothing if there are none."""
    counts = Counter(labels)
    names = [name for label, name in enumerate(classes) if counts[label] == 1]
    if not names:
        return ()
    what = "class has a single image" if len(names) == 1 else "classes have a single image each"
    return (f"{len(names)} {what}, kept for training and so missing in validation: {', '.join(names)}",)


def labels_of(part: Part) -> NDArray[np.int64]:
    """Return the class number of each image of a part, (N,)."""
    return np.asarray(part.source.labels, np.int64)[np.asarray(part.indices, np.int64)]


def limit_classes(part: Part, n: int, seed: int) -> Part:
    """Return at most the first `n` images of each class, by a permutation of (seed, class), in their old order.

    A larger `n` keeps what a smaller one keeps; `n` 0 keeps all.
    """
    if n == 0:
        return part
    kept = [members[permutation(len(members), LIMIT, seed, label)[:n]] for label, members in _members(labels_of(part))]
    places = np.sort(np.concatenate(kept))
    return replace(part, indices=np.asarray(part.indices, np.int64)[places].tolist())


def _members(labels: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each class number and the indices of its images, both ascending, with one sort for all."""
    order = np.argsort(labels, kind="stable")
    numbers, starts = np.unique(labels[order], return_index=True)
    # Of no labels np.split makes a piece all the same.
    yield from zip(numbers.tolist(), np.split(order, starts[1:]), strict=False)
