"""What a checkpoint says of its run and its model: one record, read without torch in a millisecond.

On disk it is a JSON object in the header of the tensor file. This is the only place that knows its keys.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from clfctl.errors import CheckpointError
from clfctl.evaluation.epoch_metrics import AS_MONITORED
from clfctl.runs.history import EpochResult, read_history
from clfctl.storage.tensor_file import read_metadata

T = TypeVar("T")

# The key of the JSON among the texts of a tensor file, and what is in it beside a header.
META, FORMAT = "clfctl", 1
PREVIOUS = ".previous"
CHANNELS_LAST = "channels_last"
# What versions did that did not have a setting yet, if that is not its default.
WHEN_MISSING = {"keep_best": AS_MONITORED}
CHECKSUM_BYTES = 16  # of xxh3, the last of every checkpoint


@dataclass(frozen=True)
class Position:
    """How far a run is: `epoch` finished epochs and `batch` of `n_batches` batches of the next."""

    epoch: int
    batch: int
    n_batches: int

    @property
    def t(self) -> float:
        """The time in epochs."""
        return self.epoch + self.batch / self.n_batches

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
class Resumption:
    """What a run needs to go on, beside tensors.

    `n_images` has an entry for each finished batch of the running epoch, `train_s` is the time that they took, `rates`
    the records of the learning rates that they had; `lr_start` and `lr` are those of its first and its latest step,
    `moved` what else a schedule moves, as in the history. `last_epoch` is how many epochs are
    trained in all, as far as was known. `optimizer` and `scaler` are what is not a tensor of their states, `changes`
    the lines of the run's changes.jsonl. `averaged` is how many epochs a mean of the weights has, and the last of them;
    `is_compiled` whether its model was compiled, None: not asked; `n_processes` is how many trained it.
    """

    position: Position
    n_images: Sequence[int]
    train_s: float
    lr_start: float
    lr: float
    last_epoch: int
    optimizer: Mapping[str, Any]
    scaler: Mapping[str, Any]
    changes: Sequence[dict[str, Any]]
    averaged: tuple[int, int] = (0, 0)
    is_compiled: bool | None = None
    moved: Mapping[str, float] = field(default_factory=dict)
    rates: Sequence[Mapping[str, Any]] = ()
    n_processes: int = 1

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to train."""
        return self.position.epoch >= self.last_epoch

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        position = self.position
        return {
            "optimizer": self.optimizer,
            "scaler": self.scaler,
            "n_batches": position.n_batches,
            "last_epoch": self.last_epoch,
            "changes": self.changes,
            "averaged": self.averaged,
            "is_compiled": self.is_compiled,
            **({"n_processes": self.n_processes} if self.n_processes != 1 else {}),
            "cursor": {
                "epoch": position.epoch,
                "batch": position.batch,
                "n_images": self.n_images,
                "train_s": self.train_s,
                "lr_start": self.lr_start,
                "lr": self.lr,
                **({"moved": dict(self.moved)} if self.moved else {}),
                "rates": self.rates,
            },
        }

    @classmethod
    def from_json(cls, meta: Mapping[str, Any]) -> Self:
        """Read the JSON of a checkpoint. Raises KeyError, TypeError or ValueError if it has not what is needed."""
        cursor = meta["cursor"]
        n_averaged, until = meta.get("averaged", (0, 0))
        position = Position(int(cursor["epoch"]), int(cursor["batch"]), max(1, int(meta["n_batches"])))
        return cls(
            position,
            [int(n) for n in cursor.get("n_images", ())],
            float(cursor.get("train_s", 0.0)),
            float(cursor.get("lr_start", cursor["lr"])),
            float(cursor["lr"]),
            int(meta.get("last_epoch", meta["settings"].get("epochs", 0))),
            dict(meta["optimizer"]),
            dict(meta.get("scaler", {})),
            [dict(change) for change in meta.get("changes", ())],
            (int(n_averaged), int(until)),
            meta.get("is_compiled"),
            {str(name): float(value) for name, value in cursor.get("moved", {}).items()},
            [dict(record) for record in cursor.get("rates", ())],
            int(meta.get("n_processes", 1)),
        )


@dataclass(frozen=True)
class Header:
    """What every checkpoint says, and what `last` says besides, `resumption`.

    `model`, `classes` and `preprocess` are those of the model's card, `settings` what the run was trained with,
    `n_threads` how many threads computed (0: not known), in which `memory_format` (that of all earlier versions unless
    it is said). `given_in` is the folder that relative paths in the settings start from, seen from the run's ("": not
    known). `soup` are the epochs, from 1, whose mean the weights are; empty: they are of the last one in the history.
    """

    model: str
    classes: tuple[str, ...]
    preprocess: Mapping[str, Any]
    settings: Mapping[str, Any]
    history: Sequence[EpochResult]
    n_threads: int = 0
    memory_format: str = CHANNELS_LAST
    given_in: str = ""
    soup: tuple[int, ...] = ()
    resumption: Resumption | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON of a checkpoint, whose numbers may be infinite or NaN."""
        return {
            "model": self.model,
            "classes": self.classes,
            "preprocess": dict(self.preprocess),
            "settings": dict(self.settings),
            "history": [result.as_record() for result in self.history],
            "n_threads": self.n_threads,
            "memory_format": self.memory_format,
            **({"given_in": self.given_in} if self.given_in else {}),
            **({"soup": self.soup} if self.soup else {}),
            **(self.resumption.as_json() if self.resumption else {}),
        }

    @classmethod
    def from_json(cls, meta: Mapping[str, Any]) -> Self:
        """Read the JSON of a checkpoint, of an older version too. Raises ValueError, with the reason, if it cannot be.

        What is missing and can be done without gets a default; what is unknown is ignored.
        """
        try:
            return cls(
                str(meta["model"]),
                tuple(str(name) for name in meta["classes"]),
                dict(meta["preprocess"]),
                WHEN_MISSING | dict(meta["settings"]),
                read_history(meta.get("history", ())),
                int(meta.get("n_threads", 0)),
                str(meta.get("memory_format", CHANNELS_LAST)),
                str(meta.get("given_in", "")),
                tuple(int(epoch) for epoch in meta.get("soup", ())),
                Resumption.from_json(meta) if "cursor" in meta else None,
            )
        except CheckpointError as error:  # a record of the history
            raise ValueError(str(error)) from None
        except KeyError as error:
            raise ValueError(f"it does not say its {error.args[0]}") from None
        except (TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"what it says cannot be read: {error}") from None

    def going_on(self) -> Resumption:
        """Return what a run needs to go on. Raises ValueError for a checkpoint that none can, such as `best`."""
        if self.resumption is None:
            raise ValueError("it is not a checkpoint that a run can go on from")
        return self.resumption


def read_header(path: Path) -> Header:
    """Read the header of a checkpoint, whose bytes are not verified. Raises OSError or ValueError, with the reason."""
    metadata = read_metadata(path)
    if META not in metadata:
        raise ValueError("it is not a checkpoint of clfctl")
    return Header.from_json(json.loads(metadata[META]))


def read_last(path: Path) -> Header:
    """Read the header of a checkpoint that a run can go on from. Raises OSError or ValueError."""
    header = read_header(path)
    header.going_on()
    return header


def last_or_previous(
    last: Path, read: Callable[[Path], T], damage: type[Exception] | tuple[type[Exception], ...]
) -> tuple[T, Exception | None]:
    """Return what `read` makes of a checkpoint; where it raises a `damage`, of its predecessor, and that error.

    If neither can be read the error is that of the predecessor, and its `__cause__` that of `last`.
    """
    try:
        return read(last), None
    except damage as error:
        first = error
    try:
        return read(previous_of(last)), first
    except damage as error:
        raise error from first


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
