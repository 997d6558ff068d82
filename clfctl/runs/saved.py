"""What a checkpoint says of its run, read from its header: no torch, and a millisecond for a file of any size."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clfctl.storage.tensor_file import read_metadata

META = "clfctl"
PREVIOUS = ".previous"
CHECKSUM_BYTES = 16  # of xxh3, the last of every checkpoint


@dataclass(frozen=True)
class Position:
    """How far a run is: `epoch` finished epochs and `batch` of `n_batches` batches of the next."""

    epoch: int
    batch: int
    n_batches: int

    def __str__(self) -> str:
        if self.batch:
            return f"epoch {self.epoch + 1}, batch {self.batch} of {self.n_batches}"
        return f"the end of epoch {self.epoch}" if self.epoch else "the start"

    def lost_until(self, later: "Position | None") -> str:
        """Return in words what has to be trained again where `later` was reached and this is gone on from."""
        if later is None or (later.epoch, later.batch) <= (self.epoch, self.batch):
            return f"what came after {self} is trained again"
        epochs, batches = divmod((later.epoch - self.epoch) * self.n_batches + later.batch - self.batch, self.n_batches)
        parts = [_counted(epochs, "epoch", "epochs"), _counted(batches, "batch", "batches")]
        lost = " and ".join(part for part in parts if part)
        return f"{self} instead of {later}, {lost} {'is' if epochs + batches == 1 else 'are'} trained again"


@dataclass(frozen=True)
class Saved:
    """The state of a run as its checkpoint holds it.

    `last_epoch` is how many epochs are trained in all, as far as was known; `lr` is that of the latest step, `history`
    has one record an epoch.
    """

    position: Position
    last_epoch: int
    lr: float
    settings: dict[str, Any]
    history: list[dict[str, Any]]

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to train."""
        return self.position.epoch >= self.last_epoch


def read_saved(path: Path) -> Saved:
    """Read the state of a run from a `last` checkpoint.

    The checksum is not looked at. Raises OSError or ValueError, with the reason, if the file cannot be read.
    """
    metadata = read_metadata(path)
    try:
        meta = json.loads(metadata[META])
        cursor = meta["cursor"]
        position = Position(int(cursor["epoch"]), int(cursor["batch"]), max(1, int(meta["n_batches"])))
        history, settings = list(meta["history"]), dict(meta["settings"])
        return Saved(position, int(meta["last_epoch"]), float(cursor["lr"]), settings, history)
    except (KeyError, TypeError, ValueError):
        raise ValueError("it is no checkpoint that a run can go on from") from None


def checksum_of(path: Path) -> str:
    """Return what a checkpoint says is the hash of its bytes, which tells it from every other; nothing is verified.

    Raises OSError or ValueError if the file has none.
    """
    with path.open("rb") as file:
        n_bytes = file.seek(0, os.SEEK_END)
        if n_bytes < CHECKSUM_BYTES:
            raise ValueError("it is cut short")
        file.seek(n_bytes - CHECKSUM_BYTES)
        return file.read().hex()


def previous_of(path: Path) -> Path:
    """Return where the predecessor of a checkpoint is kept."""
    return path.with_name(path.stem + PREVIOUS + path.suffix)


def _counted(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}" if n else ""
