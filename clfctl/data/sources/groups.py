"""Images that belong together, such as those of one patient: never divided between training and validation."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clfctl.data.keys import SPLIT, permutation
from clfctl.data.sources.base import FileImages, ImageSource
from clfctl.data.sources.found import listed
from clfctl.errors import DataError, UsageError, shortened
from clfctl.settings.data import ImageSettings


def groups_of(source: ImageSource, settings: ImageSettings) -> NDArray[np.int64] | None:
    """Return the number of what each image of a source belongs to, (N,); None if `group_by` is not set.

    Raises UsageError for an expression that is none, DataError for a name in which it finds nothing.
    """
    if not settings.group_by:
        return None
    if isinstance(source, FileImages) and source.groups is not None:
        return np.asarray(source.groups, np.int64)
    numbers: dict[str, int] = {}
    names = _names(source, settings.group_by)
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def _names(source: ImageSource, group_by: str) -> list[str]:
    """Return what an expression finds in the name of each image: its first group, or all that it matches."""
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        hint = "give what tells the groups apart in the paths, such as 'patient_([0-9]+)'"
        raise UsageError(f"{group_by!r} is not a regular expression: {error}", hint, field="group_by") from None
    found = []
    for index in range(len(source.labels)):
        name = source.name(index)
        match = pattern.search(name)
        if not match:
            what = f"{shortened(repr(group_by))} is not found in {name}"
            raise DataError(what, "every image has to belong to something; let it match all of them", field="group_by")
        found.append(match[1] if pattern.groups and match[1] is not None else match[0])
    return found


def grouped_split(
    labels: Sequence[int], groups: NDArray[np.int64], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Return the indices of the training and of the validation images, both ascending; no group is in both.

    The largest groups come first, those of one size in an order drawn from the seed; each goes to validation if that
    brings its counts of the classes nearer to `share` of all (by the sum of squares), and leaves every class images for
    training. Raises DataError if no group can go there.
    """
    if share == 0:
        return list(range(len(labels))), []
    classes, numbers = np.asarray(labels, np.int64), np.unique(groups, return_inverse=True)[1]
    n_groups, n_classes = int(numbers.max()) + 1, int(classes.max()) + 1
    pairs, counts = np.unique(numbers * n_classes + classes, return_counts=True)
    starts = np.searchsorted(pairs, np.arange(n_groups + 1) * n_classes)
    left = np.bincount(classes, minlength=n_classes)
    wanted = left * share  # what validation still lacks of each class
    order = permutation(n_groups, SPLIT, seed, 0)
    sizes = np.bincount(numbers)[order]
    is_val = np.zeros(n_groups, bool)
    for group in order[np.argsort(-sizes, kind="stable")].tolist():
        of = slice(starts[group], starts[group + 1])
        its, n = pairs[of] - group * n_classes, counts[of]
        if (left[its] > n).all() and (n * (n - 2 * wanted[its])).sum() < 0:
            is_val[group] = True
            left[its] -= n
            wanted[its] -= n
    if not is_val.any():
        n = "1 group" if n_groups == 1 else f"{n_groups} groups"
        what = f"of {n} of images none can be kept for validation: every class has to have training images"
        raise DataError(what, "give validation images of your own (val/, or a split column)", field="group_by")
    chosen = is_val[numbers]
    return np.flatnonzero(~chosen).tolist(), np.flatnonzero(chosen).tolist()


def about_groups(labels: Sequence[int], groups: NDArray[np.int64], classes: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence that names the classes of a single group, which cannot be in training and validation."""
    pairs = np.unique(np.stack([np.asarray(labels, np.int64), groups]), axis=1)
    n_groups = np.bincount(pairs[0], minlength=len(classes))
    names = [name for name, n in zip(classes, n_groups, strict=True) if n == 1]
    if not names:
        return ()
    what = "1 class is" if len(names) == 1 else f"{len(names)} classes are"
    return (f"{what} of one group only, kept for training and so missing in validation: {listed(names)}",)


def about_shared(train: ImageSource, val: ImageSource, settings: ImageSettings) -> tuple[str, ...]:
    """Return a sentence if groups are in both parts of data that is divided already."""
    if not settings.group_by:
        return ()
    if isinstance(train, FileImages) and isinstance(val, FileImages) and train.groups and val.groups:
        shared = len({*train.groups} & {*val.groups})
    else:
        shared = len({*_names(train, settings.group_by)} & {*_names(val, settings.group_by)})
    if not shared:
        return ()
    what = "1 group has" if shared == 1 else f"{shared} groups have"
    return (f"{what} images in training and in validation, whose accuracy is then too good",)
