"""The metrics of an epoch: each is declared once, and files, columns, plots and `--monitor` follow. Light at import.

A new metric is one more entry of `METRICS`. Everything reads the table when it is needed, so an entry that is added
from outside, before a training begins, is measured, saved, shown and may be monitored like the others.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from clfctl.schedules.base import Mode

TOP_K = 5
# What `keep_best` is where best goes by the monitored metric, as it did in the first versions.
AS_MONITORED = "monitor"


@dataclass(frozen=True)
class Tally:
    """What was counted over the images of a pass.

    `loss` is the sum of their losses, `right` and `among_five` how often the true class was the likeliest, or one of
    the five likeliest. By class, in the order of the model's outputs: `found` images of it that were taken for it,
    `predicted` images that were taken for it, `support` images of it. A training pass has the loss alone.
    """

    n_images: int
    loss: float
    right: int = 0
    among_five: int = 0
    found: Sequence[int] = ()
    predicted: Sequence[int] = ()
    support: Sequence[int] = ()


@dataclass(frozen=True)
class Metric:
    """A number that every epoch has: its mean over the training or the validation images, NaN without any.

    `title` heads its column. `kind`: a loss is shown as it is, a share in [0, 1] in percent. `compute` is given a
    tally of at least one image. `is_shown` says whether it has a column, a word in plain lines and a place in the
    plots; it is in the files in any case. With fewer than `least_classes` classes it is NaN.
    """

    part: Literal["train", "val"]
    title: str
    mode: Mode
    kind: Literal["loss", "share"]
    compute: Callable[[Tally], float]
    is_shown: bool = False
    least_classes: int = 0

    def of(self, tally: Tally) -> float:
        """Return its value for the images of a tally."""
        if not tally.n_images or len(tally.support) < self.least_classes:
            return math.nan
        return self.compute(tally)


def measured(part: Literal["train", "val"], tally: Tally) -> dict[str, float]:
    """Return every metric of the training or of the validation images, by name."""
    return {name: metric.of(tally) for name, metric in METRICS.items() if metric.part == part}


def _mean_loss(tally: Tally) -> float:
    return tally.loss / tally.n_images


def _over_classes(tally: Tally, value: Callable[[int, int, int], float]) -> float:
    """Return the mean over the classes that have images of a value of (found, predicted, support)."""
    counts = zip(tally.found, tally.predicted, tally.support, strict=True)
    values = [value(*each) for each in counts if each[2]]
    return math.fsum(values) / len(values)


METRICS: dict[str, Metric] = {
    "train_loss": Metric("train", "train loss", "min", "loss", _mean_loss, is_shown=True),
    "val_loss": Metric("val", "val loss", "min", "loss", _mean_loss, is_shown=True),
    "val_top1": Metric("val", "val acc", "max", "share", lambda t: t.right / t.n_images, is_shown=True),
    "val_top5": Metric(
        "val", "val top 5", "max", "share", lambda t: t.among_five / t.n_images, least_classes=TOP_K + 1
    ),
    "val_f1": Metric(
        "val",
        "val F1",
        "max",
        "share",
        lambda t: _over_classes(t, lambda found, predicted, support: 2 * found / (predicted + support)),
    ),
    "val_balanced_accuracy": Metric(
        "val",
        "val bal acc",
        "max",
        "share",
        lambda t: _over_classes(t, lambda found, predicted, support: found / support),  # noqa: ARG005 (one shape of all)
    ),
}
