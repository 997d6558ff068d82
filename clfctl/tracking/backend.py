"""What a tracker writes, and what it has to be able to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from clfctl.runs.folder import RunFolder

# Values of windows of batches have this before their names; all others are of epochs.
BATCH = "batch/"
# And those of the checkpoint to use, known at the end, this.
FINAL = "final/"
TRACK = "track"
# What became of a training: it came to its end, a signal has stopped it, or something went wrong.
Ending = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Item:
    """Numbers of one moment: of a window of batches, or of an epoch.

    `step` is the number of batches trained, or that of the epoch, from 1; `batches` is the number of batches in both.
    """

    step: int
    batches: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Final:
    """What is known at the end: numbers of the best checkpoint, its confusion matrix (C, C), and some images.

    `images` (N, H, W, 3) uint8 are as the model sees them, each with a caption.
    """

    metrics: Mapping[str, float]
    classes: Sequence[str]
    confusion: NDArray[np.int64]
    images: NDArray[np.uint8]
    captions: Sequence[str]


@dataclass(frozen=True)
class Subject:
    """The run that is tracked, and its settings, each a word, a number or a bool."""

    run: RunFolder
    settings: Mapping[str, Any]


class Backend(Protocol):
    """A library that keeps numbers. Everything is called from one thread, which may wait."""

    def open(self, subject: Subject) -> Mapping[str, int]:
        """Begin, or go on in the track of the run; return the last step that each value has there."""
        ...

    def write(self, items: Sequence[Item]) -> None:
        """Write some items, in the order of time."""
        ...

    def show(self, final: Final, numbers: Item) -> None:
        """Write what is known at the end of the training, last of it the numbers: they tell that the rest is there."""
        ...

    def close(self, ending: Ending) -> None:
        """Write what became of the training, and let go of everything that is open; `open` may have failed before."""
        ...
