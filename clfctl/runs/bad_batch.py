"""The batch whose loss was not finite, as a run keeps it: one JSON object. No torch here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from clfctl.errors import CheckpointError, UsageError
from clfctl.runs.folder import RunFolder
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json


class BatchImage(NamedTuple):
    """An image of a batch: its number in its source, what the user knows it by, and the number of its class."""

    number: int
    name: str
    label: int


@dataclass(frozen=True)
class BadBatch:
    """Where a loss was not finite. `epoch`, `batch` and `step` count from 0; `what` says which loss.

    `lr` is the learning rate of the step, `rates` those of its param groups. `losses` and `gradient_norms` are those of
    the steps until it, its own the last; the norms are of the whole gradient, before it was clipped.
    """

    what: str
    epoch: int
    batch: int
    n_batches: int
    lr: float
    losses: Sequence[float]
    gradient_norms: Sequence[float]
    rates: Mapping[str, float]
    images: Sequence[BatchImage]

    @property
    def step(self) -> int:
        """The number of the step in the run."""
        return self.epoch * self.n_batches + self.batch

    def write(self, run: RunFolder) -> None:
        """Write it into a run. Raises WriteError."""
        record = vars(self) | {"step": self.step, "images": [each._asdict() for each in self.images]}
        write_text(run.bad_batch, dump_json(record) + "\n")

    @classmethod
    def read(cls, run: RunFolder) -> Self:
        """Read it. Raises UsageError if the run has none, CheckpointError if it cannot be read."""
        if not run.bad_batch.is_file():
            hint = "it is written when training ends because a loss is not finite"
            raise UsageError(f"{run.path} has no {run.bad_batch.name}", hint)
        try:
            found: dict[str, Any] = json.loads(run.bad_batch.read_text(encoding="utf-8"))
            return cls(
                str(found["what"]),
                int(found["epoch"]),
                int(found["batch"]),
                int(found["n_batches"]),
                float(found["lr"]),
                [float(each) for each in found["losses"]],
                [float(each) for each in found["gradient_norms"]],
                {str(name): float(rate) for name, rate in found["rates"].items()},
                [BatchImage(int(each["number"]), str(each["name"]), int(each["label"])) for each in found["images"]],
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{run.bad_batch} cannot be read: {error}") from None
