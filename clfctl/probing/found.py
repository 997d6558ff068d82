"""What a probe found, network by network, and how far two of them can be told apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clfctl.evaluation.epoch_metrics import Tally
from clfctl.evaluation.intervals import Interval
from clfctl.probing.heads import Head
from clfctl.settings.image_size import ImageSize, as_json


@dataclass(frozen=True)
class Probed:
    """What a probe found of one network.

    `right` (N,) says of each validation image whether its class was found, `places` (N,) where it is in the part;
    `top1` is their share with its interval, `neighbours` that of k-NN, `tally` all that metrics are computed of.
    `features_per_s` is None where all features were kept from before. `seconds` is the time of it all once the network
    is there, `fit_s` that of what was fitted.
    """

    model: str
    image_size: ImageSize
    n_parameters: int
    n_features: int
    n_views: int
    features_per_s: float | None
    neighbours: float
    head: Head
    top1: float
    top1_interval: Interval
    loss: float
    tally: Tally
    right: NDArray[np.bool_]
    places: NDArray[np.int64]
    fit_s: float
    seconds: float


@dataclass(frozen=True)
class Probing:
    """What a probe found of each network, the folder of the best one's run, and sentences that are worth knowing."""

    run: Path
    found: tuple[Probed, ...]
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Probed:
        """The network whose head the run has."""
        return best_of(self.found)


@dataclass(frozen=True)
class Difference:
    """By how much one network is better than another on the same images: a share, and its 95 % interval."""

    by: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether chance alone would hardly make so large a difference."""
        return not self.low <= 0 <= self.high


def difference(one: Probed, other: Probed) -> Difference:
    """Return by how much `one` is better, from the images that only one of them has right (Newcombe 1998, method 1)."""
    shared, at_one, at_other = np.intersect1d(one.places, other.places, return_indices=True)
    gained = one.right[at_one].astype(np.int64) - other.right[at_other]
    by, n = float(gained.mean()), len(shared)
    far = 1.96 * float(np.sqrt(max(0.0, float((gained**2).mean()) - by**2) / n))
    return Difference(by, by - far, by + far)


def best_of(found: Sequence[Probed]) -> Probed:
    """Return the network with the highest accuracy, of equal ones the one with the lower loss."""
    return max(found, key=lambda each: (each.top1, -each.loss))


def record_of(probed: Probed) -> dict[str, object]:
    """Return what was found of a network, as JSON can hold it."""
    return {
        "model": probed.model,
        "image_size": as_json(probed.image_size),
        "parameters": probed.n_parameters,
        "features": probed.n_features,
        "features_per_s": probed.features_per_s,
        "knn_top1": probed.neighbours,
        "top1": probed.top1,
        "top1_interval": [probed.top1_interval.low, probed.top1_interval.high],
        "val_loss": probed.loss,
        "views": probed.n_views,
        "c": probed.head.c,
        "tried": [vars(each) for each in probed.head.tried],
        "fit_s": probed.fit_s,
        "seconds": probed.seconds,
    }
