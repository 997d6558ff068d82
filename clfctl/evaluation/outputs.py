"""What a model said of labelled images: the one thing that every metric and picture is made from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Outputs:
    """The answers for N images of C classes.

    `indices` (N,) are the images' numbers in their source, `labels` (N,) their classes, `probabilities` (N, C) in
    [0, 1], `losses` (N,) the negative logarithms of the true class's probability, which may have none of its digits.
    """

    indices: Numbers
    labels: Numbers
    probabilities: Floats
    losses: Floats

    @property
    def predicted(self) -> Numbers:
        """The likeliest class (N,), of equally likely ones the first."""
        found: Numbers = self.probabilities.argmax(axis=1)
        return found

    def worst(self, n: int) -> Numbers:
        """Return the places (at most n,) of the mistakes with the highest loss, the highest first."""
        mistakes = np.flatnonzero(self.predicted != self.labels)
        order = np.argsort(-self.losses[mistakes], kind="stable")
        chosen: Numbers = mistakes[order[:n]]
        return chosen
