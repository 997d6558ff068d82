"""Where the trainer is inside the running epoch, for a display that looks at its leisure."""

from dataclasses import dataclass


@dataclass
class Progress:
    """Where the trainer is; written by it alone, read by a display's own thread at its leisure.

    `epoch` counts from 0, `batch` counts the finished batches of `phase`; `first_batch` of them were
    finished before the run was resumed.
    """

    epoch: int = 0
    phase: str = "train"
    first_batch: int = 0
    batch: int = 0
    n_batches: int = 0
    lr: float = 0.0
    images: int = 0
    started_s: float = 0.0
    n_bad_images: int = 0
