"""What a model says of one image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of an image, best first, as (class, probability); `error` says why there are none.

    `name` is what the user knows the image by. Neither classes nor an error: none was likely enough.
    """

    name: str
    classes: tuple[tuple[str, float], ...] = ()
    error: str = ""

    @property
    def best(self) -> str | None:
        """The likeliest class."""
        return self.classes[0][0] if self.classes else None


@dataclass(frozen=True)
class Choice:
    """Which classes of an image are named: at most `top_k`, none less likely than `threshold` (in [0, 1])."""

    top_k: int
    threshold: float = 0.0


def choose(probabilities: NDArray[np.float32], classes: Sequence[str], choice: Choice) -> tuple[tuple[str, float], ...]:
    """Return the likeliest classes of one image, best first; `probabilities` (n_classes,)."""
    best = np.argsort(-probabilities, kind="stable")[: choice.top_k]
    # By its shortest digits: 0.3 of 32 bits would read 0.30000001192092896 as a number of 64.
    named = ((classes[i], float(str(probabilities[i]))) for i in best)
    return tuple(each for each in named if each[1] >= choice.threshold)
