"""A comparison as a record: the runs in their order, their numbers by name, their pairs, and the one to deploy."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from clfctl.comparing.entries import Difference, Entry
from clfctl.errors import UsageError, nearest
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.schedules.base import Mode

if TYPE_CHECKING:
    from clfctl.comparing.choice import Choice
    from clfctl.comparing.images import Common
    from clfctl.comparing.pairs import Pair
    from clfctl.comparing.speed import Cost
    from clfctl.evaluation.intervals import Interval
    from clfctl.evaluation.metrics import Metrics
    from clfctl.inference.evaluate import Measured

# What was measured on the common images, and which way it is better.
MEASURED: dict[str, Mode] = {
    "top1": "max", "top5": "max", "loss": "min", "f1": "max", "balanced_accuracy": "max", "kappa": "max", "ece": "min",
}  # fmt: skip
COST: dict[str, Mode] = {"parameters": "min", "bytes": "min", "latency_ms": "min", "images_per_s": "max"}
NAME = "name"


@dataclass(frozen=True)
class Side:
    """A run in a comparison: what its files tell, and what was measured of it; `intervals` are of `numbers`."""

    entry: Entry
    name: str
    numbers: Mapping[str, float]
    intervals: Mapping[str, "Interval"]
    measured: "Measured | None" = None
    cost: "Cost | None" = None


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other, in the order in which they are shown.

    `different` are the settings that are not the same in all. `common` has what they said of the same images, None
    where nothing was measured; then there are neither `pairs` nor a `choice`. `notes` are sentences.
    """

    sides: tuple[Side, ...]
    different: tuple[Difference, ...]
    common: "Common | None" = None
    pairs: "tuple[Pair, ...]" = ()
    choice: "Choice | None" = None
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """What tells it from a comparison of other runs, of other checkpoints of theirs, or on other images."""
        of_images = [self.common.data, self.common.split] if self.common else []
        for subject in [each.measured.evaluation.subject for each in self.sides if each.measured]:
            of_images += [subject.checkpoint, str(subject.n_views)]
        parts = [*sorted(str(side.entry.path.resolve()) for side in self.sides), *sorted(of_images)]
        return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()[:12]

    def as_record(self) -> dict[str, Any]:
        """Return everything that JSON can hold; what is not known is null.

        Rows and columns of each confusion matrix are in the order of `classes`.
        """
        names = [side.name for side in self.sides]
        common, choice = self.common, self.choice
        # Of runs with other classes all that any of them knows.
        metrics = common.metrics if common else ()
        classes = list(dict.fromkeys(each.name for of_run in metrics for each in of_run.classes))
        return {
            "id": self.id,
            "runs": [_side_record(side) for side in self.sides],
            "settings": {each.name: _plain(each) for each in self.different if each.is_setting},
            "made_with": {each.name: _plain(each) for each in self.different if not each.is_setting},
            "images": None if common is None else {"data": common.data, "split": common.split, "n": common.n},
            "classes": classes,
            "confusion": {name: _in_order(each, classes) for name, each in zip(names, metrics, strict=bool(metrics))},
            "pairs": [_pair_record(each, names) for each in self.pairs],
            "deploy": None if choice is None else {"run": names[choice.run], "why": list(choice.why)},
            "notes": list(self.notes),
        }  # fmt: skip


def _in_order(metrics: "Metrics", classes: Sequence[str]) -> list[list[int]]:
    """Return the confusion matrix with a row and a column for each of the classes, in their order."""
    places = {each.name: place for place, each in enumerate(metrics.classes)}
    cells = metrics.confusion.tolist()
    return [[cells[places[a]][places[b]] if {a, b} <= {*places} else 0 for b in classes] for a in classes]


def sort_modes() -> dict[str, Mode]:
    """Return what runs can be sorted by, and which way it is better; metrics of other origin are among them."""
    of_epochs = {name: metric.mode for name, metric in METRICS.items()}
    return {**MEASURED, **of_epochs, **COST, "epochs": "min"}


def check_sort(sort: str) -> None:
    """Raise UsageError if runs cannot be sorted by that; an empty text is the order in which they are named."""
    known = [NAME, *sort_modes()]
    if sort and sort not in known:
        hint = nearest(sort, known) or "there are: " + ", ".join(known)
        raise UsageError(f"{sort!r} is nothing that runs can be sorted by", hint, field="sort")


def order_of(sides: Sequence[Side], sort: str) -> list[int]:
    """Return the places of the runs, the best first; those of which the number is not known come last.

    Raises UsageError if it is known of none.
    """
    if not sort:
        return [*range(len(sides))]
    if sort == NAME:
        return sorted(range(len(sides)), key=lambda place: sides[place].name)
    values = [side.numbers.get(sort, math.nan) for side in sides]
    if all(map(math.isnan, values)):
        why = "no run has it" if sort in METRICS else "it is measured on images that all runs hold out"
        raise UsageError(f"{sort} is not known of any run: {why}", "sort by val_top1, or by name", field="sort")
    sign = 1 if sort_modes()[sort] == "min" else -1
    return sorted(range(len(sides)), key=lambda place: (math.isnan(values[place]), sign * values[place]))


def _side_record(side: Side) -> dict[str, Any]:
    entry, best = side.entry, side.entry.best
    return {
        "name": side.name,
        "path": str(entry.path),
        "model": entry.model,
        "epochs": entry.epochs,
        "planned_epochs": entry.planned_epochs,
        "best_epoch": best.epoch if best else None,
        "best_metric": entry.best_metric,
        "checkpoint": str(side.measured.trained.file) if side.measured else None,
        "device": side.cost.device if side.cost else None,
        **{name: value if math.isfinite(value) else None for name, value in side.numbers.items() if name != "epochs"},
        "intervals": {name: asdict(each) for name, each in side.intervals.items()},
    }


def _pair_record(pair: "Pair", names: Sequence[str]) -> dict[str, Any]:
    whose = {"first": names[pair.first], "second": names[pair.second]}
    return {**asdict(pair), **whose, "difference": pair.difference}


def _plain(difference: Difference) -> list[Any]:
    return [each if isinstance(each, bool | int | float | str | None) else str(each) for each in difference.values]
