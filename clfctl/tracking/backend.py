"""What a tracker writes, and what it has to be able to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clfctl.runs.folder import RunFolder

# Values of windows of batches have this before their names; all others are of epochs.
BATCH = "batch/"
# Of the checkpoint to use, when training has ended; their step is the last epoch.
FINAL = "final/"
TRACK = "track"


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

    def end(self, final: Final | None) -> None:
        """Take note that the training came to its end; write what is known then, None if that is there already."""
        ...

    def close(self) -> None:
        """Let go of everything that is open, also where the training was stopped before its end."""
        ...
