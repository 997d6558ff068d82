"""What the trainer tells the outside: the result of an epoch, and where it is inside the running one."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class EpochResult:
    """One finished epoch, counted from 1. Losses are means per image, top1 is a share in [0, 1], times are in seconds.

    `lr_start` and `lr` are the learning rates of the first parameter group at its first and its last optimizer step.
    Validation values are NaN without validation images.
    """

    epoch: int
    lr_start: float
    lr: float
    train_loss: float
    val_loss: float
    val_top1: float
    is_best: bool
    images_per_s: float
    time_s: float

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Read a record of `as_record`, where numbers that are not finite may be words (`"nan"`, `"inf"`)."""
        kinds = {"epoch": int, "is_best": bool}
        return cls(**{field.name: kinds.get(field.name, float)(record[field.name]) for field in fields(cls)})

    def as_record(self) -> dict[str, Any]:
        """Return the values by name, as a line of the history holds them."""
        return asdict(self)


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
