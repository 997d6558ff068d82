"""The images that every compared model has answered and none has trained on itself, and its answers for them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clfctl.evaluation.metrics import Metrics, compute_metrics
from clfctl.evaluation.outputs import Outputs
from clfctl.evaluation.predictions import readable
from clfctl.inference.evaluate import Measured

# Of fewer nothing can be told.
FEW = 30
# An image by its name and, where a table lists it again, which time that is.
Key = tuple[str, int]


@dataclass(frozen=True)
class Common:
    """The answers for the images that all runs have in common.

    `names` (N) are theirs, `true` (N) their classes and `said` (runs, N) those that each run named; `right` (runs, N).
    `metrics` and `outputs` are of each run, for these images alone, and in the order of its own classes. `n_of` is how
    many each run had.
    """

    data: str
    split: str
    names: tuple[str, ...]
    true: tuple[str, ...]
    said: tuple[tuple[str, ...], ...]
    right: NDArray[np.bool_]
    metrics: tuple[Metrics, ...]
    outputs: tuple[Outputs, ...]
    n_of: tuple[int, ...]

    @property
    def n(self) -> int:
        """How many images there are."""
        return len(self.names)


def common_images(measured: Sequence[Measured]) -> tuple[Common | None, list[str]]:
    """Return the answers for the images that all have in common, None where there are none; and what is to be said.

    Each measurement has the images that its own run holds out: what they share, none was trained on by itself. What its
    first weights have seen is another question: see `origins`.
    """
    places = {_place(each.chosen.data) for each in measured}
    if len(places) > 1:
        listed = ", ".join(dict.fromkeys(each.chosen.data for each in measured))
        what = f"The runs were trained on different data ({listed}), so their answers are not compared"
        return None, [f"{what}: `data=` names images for all of them."]
    found = [_placed(each) for each in measured]
    # In the order of the first; an image that has another class elsewhere is not the same one.
    keys = [key for key in found[0] if all(key in each and each[key][1] == found[0][key][1] for each in found)]
    sizes = tuple(map(len, found))
    if not keys:
        what = "No image is held out by every run (another seed or share), so their answers are not compared"
        return None, [f"{what}: `data=` names images that none of them was trained on."]
    chosen = [_subset(each.outputs, [at[key][0] for key in keys]) for each, at in zip(measured, found, strict=True)]
    classes = [[readable(name) for name in each.trained.info.classes] for each in measured]
    said = tuple(tuple(names[i] for i in each.predicted) for each, names in zip(chosen, classes, strict=True))
    true = tuple(found[0][key][1] for key in keys)
    right = np.array([[a == b for a, b in zip(each, true, strict=True)] for each in said])
    metrics = tuple(compute_metrics(each, names) for each, names in zip(chosen, classes, strict=True))
    first = measured[0].chosen
    names = tuple(name for name, _ in keys)
    common = Common(first.data, first.split, names, true, said, right, metrics, tuple(chosen), sizes)
    return common, _notes(common)


def _notes(common: Common) -> list[str]:
    notes = []
    if any(n > common.n for n in common.n_of):
        held = ", ".join(f"{n:,}" for n in common.n_of)
        notes.append(f"{common.n:,} images are held out by every run (each holds out {held}): only they are compared.")
    if common.n < FEW:
        notes.append(f"Warning: {common.n} images are too few to tell the runs apart.")
    return notes


def _place(data: str) -> str:
    path = Path(data)
    return str(path.resolve()) if path.exists() else data


def _placed(measured: Measured) -> dict[Key, tuple[int, str]]:
    """Return (place in the outputs, true class) of each image."""
    outputs, name_of = measured.outputs, measured.chosen.part.source.name
    classes, times = measured.trained.info.classes, Counter[str]()
    found = {}
    for place, (index, label) in enumerate(zip(outputs.indices.tolist(), outputs.labels.tolist(), strict=True)):
        name = readable(name_of(index))
        found[name, times[name]] = place, readable(classes[label])
        times[name] += 1
    return found


def _subset(outputs: Outputs, places: Sequence[int]) -> Outputs:
    at = np.asarray(places, np.int64)
    return Outputs(outputs.indices[at], outputs.labels[at], outputs.probabilities[at], outputs.losses[at])
