"""The finished epochs of a run as its files hold them. Records of older versions, and of newer ones, are read too."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from clfctl.errors import CheckpointError, UsageError
from clfctl.evaluation.epoch_metrics import AS_MONITORED

OWN = ("epoch", "lr_start", "lr", "is_best", "images_per_s", "time_s")
# What a schedule may move beside the learning rate: its value at the last step of an epoch; with START, at the first.
MOVED, START = ("momentum", "weight_decay"), "_start"


@dataclass(frozen=True)
class EpochResult:
    """One finished epoch, counted from 1; times are in seconds.

    `metrics` by name, as `evaluation.epoch_metrics` declares them: losses are means per image, the others shares in
    [0, 1], NaN without images to compute them of. `lr_start` and `lr` are the learning rates of the first parameter
    group at its first and its last optimizer step; `moved` has the same of what else a schedule moves:
    `momentum_start` and `momentum`, `weight_decay_start` and `weight_decay`.
    """

    epoch: int
    lr_start: float
    lr: float
    metrics: Mapping[str, float]
    is_best: bool
    images_per_s: float
    time_s: float
    moved: Mapping[str, float] = field(default_factory=dict)

    def metric(self, name: str) -> float:
        """Return a metric; NaN if the epoch has none of that name, as one of an older version may not."""
        return self.metrics.get(name, math.nan)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], position: int = 0) -> Self:
        """Read a record of `as_record`, where numbers that are not finite may be words (`"nan"`, `"inf"`).

        What is missing gets a default: the epoch its `position` (from 0) in the history, a number NaN. A number of an
        unknown name is a metric, anything else that is unknown is ignored. Raises ValueError or TypeError for a value
        that is not what its name says, and for a record without a metric.
        """
        numbers = {name: number for name, value in record.items() if (number := _number(value)) is not None}
        wrong = [name for name in OWN if name != "is_best" and name in record and name not in numbers]
        if wrong:
            raise ValueError(f"{wrong[0]} is not a number: {record[wrong[0]]!r}")
        moved = {each: numbers.pop(each) for name in MOVED for each in (name + START, name) if each in numbers}
        metrics = {name: number for name, number in numbers.items() if name not in OWN}
        if not metrics:
            raise ValueError("it has no metrics")
        lr = numbers.get("lr", math.nan)
        return cls(
            epoch=int(numbers.get("epoch", position + 1)),
            lr_start=numbers.get("lr_start", lr),
            lr=lr,
            metrics=metrics,
            is_best=bool(record.get("is_best", False)),
            images_per_s=numbers.get("images_per_s", math.nan),
            time_s=numbers.get("time_s", math.nan),
            moved=moved,
        )

    def as_record(self) -> dict[str, Any]:
        """Return the values by name, flat, as a line of the history holds them."""
        return {
            "epoch": self.epoch,
            "lr_start": self.lr_start,
            "lr": self.lr,
            **self.moved,
            **self.metrics,
            "is_best": self.is_best,
            "images_per_s": self.images_per_s,
            "time_s": self.time_s,
        }


def read_history(records: Sequence[Mapping[str, Any]], where: object = "") -> list[EpochResult]:
    """Return the epochs of a list of records. Raises CheckpointError, with the epoch, for what is not one.

    `where` is the file that they stand in, if the caller does not name it.
    """
    history = []
    for position, record in enumerate(records):
        try:
            history.append(EpochResult.from_record(record, position))
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            whose = f" in {where}" if where else ""
            raise CheckpointError(f"the record of epoch {position + 1}{whose} cannot be read: {error}") from None
    return history


def check_measured(history: Sequence[EpochResult], name: str, field: str = "monitor") -> None:
    """Raise UsageError if a metric that `field` is to be from now on is unknown of an epoch that is finished.

    `field` may also be AS_MONITORED, which needs nothing of its own.
    """
    if name == AS_MONITORED:
        return
    epochs = [result.epoch for result in history if name not in result.metrics]
    if epochs:
        known = sorted(set.intersection(*(set(result.metrics) for result in history)))
        what = f"epoch {epochs[0]} was trained by a version of clfctl that did not measure {name}"
        hint = f"what all its epochs have is {', '.join(known)}" if known else "train a new run for it"
        raise UsageError(what, hint, field=field)


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return float(value) if value in ("nan", "inf", "-inf") else None
