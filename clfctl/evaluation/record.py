"""An evaluation as a record: what was measured, of which images, and what has to be said about it."""

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from clfctl.evaluation.intervals import Interval
from clfctl.evaluation.metrics import Metrics

MAX_PAIRS = 50


@dataclass(frozen=True)
class Subject:
    """What was asked: the run and its checkpoint file, the data and its split, and how many views of each image.

    `image_size` is a number of pixels for a square, else height and width, such as 128x256. Of an ensemble `run` names
    the members, and `rule` says how they answer as one; epoch and size are those of the first.
    """

    run: str
    checkpoint: str
    epoch: int
    model: str
    data: str
    split: str
    n_views: int
    image_size: int | str
    rule: str = ""

    @property
    def state(self) -> str:
        """What was asked of the run: `best.safetensors of epoch 7`, or how the members of an ensemble answer."""
        if self.rule:
            return f"the {self.rule} of {self.model}" if self.rule != "vote" else f"the votes of {self.model}"
        name = self.checkpoint.replace("\\", "/").rpartition("/")[2]
        return f"{name} of epoch {self.epoch}"


@dataclass(frozen=True)
class Member:
    """A member of an ensemble on the same images and classes as the whole, and the whole beside it.

    `weight` is how much it counts, of 1. `only_whole` images were right in the whole alone, `only_member` in the member
    alone; `p` is that of McNemar's exact test, `p_holm` what is left of it for so many members. `difference` is the
    accuracy of the whole minus that of the member, and `interval` how far that may be off.
    """

    name: str
    run: str
    checkpoint: str
    epoch: int
    model: str
    image_size: int | str
    weight: float
    metrics: Metrics
    only_whole: int
    only_member: int
    p: float
    p_holm: float
    interval: Interval

    @property
    def difference(self) -> float:
        """The accuracy of the whole minus that of the member."""
        return (self.only_whole - self.only_member) / self.metrics.n_images

    def as_record(self) -> dict[str, Any]:
        """Return all but the metrics of each class, as JSON can hold it."""
        plain = {name: value for name, value in vars(self).items() if name not in ("metrics", "interval")}
        metrics = self.metrics
        return {
            **plain,
            "top1": metrics.top1,
            "top1_interval": asdict(metrics.top1_interval),
            "top5": metrics.top5,
            "loss": metrics.loss,
            "f1": metrics.macro.f1,
            "ece": metrics.calibration.ece,
            "difference": self.difference,
            "difference_interval": asdict(self.interval),
        }


@dataclass(frozen=True)
class Fitted:
    """How the weights of an ensemble came about: on `n_images` of `data`, all of them for the weights themselves.

    For `loss` each image was answered with weights fitted on the other folds; `equal_loss` is that of equal weights.
    `of_folds` are the weights of each of these fits.
    """

    data: str
    split: str
    n_images: int
    n_folds: int
    weights: tuple[float, ...]
    of_folds: tuple[tuple[float, ...], ...]
    loss: float
    equal_loss: float


@dataclass(frozen=True)
class Mistake:
    """An image whose class was not found: `probability` is that of the wrong answer."""

    file: str
    true: str
    predicted: str
    probability: float
    true_probability: float
    loss: float


@dataclass(frozen=True)
class Evaluation:
    """Metrics and where they come from.

    `unknown` counts the images left out because the model does not know their class, by class; `absent` are classes of
    the model without images; `bad` are images that could not be read, with the reason; `notes` are sentences. Of an
    ensemble there are its `members`, and how its weights were `fitted` if they were.
    """

    subject: Subject
    metrics: Metrics
    unknown: Mapping[str, int]
    absent: tuple[str, ...]
    bad: Mapping[str, str]
    notes: tuple[str, ...]
    mistakes: tuple[Mistake, ...]
    members: tuple[Member, ...] = ()
    fitted: Fitted | None = None

    def as_record(self) -> dict[str, Any]:
        """Return everything that JSON can hold, with null for what cannot be computed; no number is NaN."""
        metrics = self.metrics
        confused = metrics.confused()
        subject = {name: value for name, value in asdict(self.subject).items() if value or name != "rule"}
        return {
            **subject,
            "n_images": metrics.n_images,
            "loss": metrics.loss,
            "top1": metrics.top1,
            "top1_interval": asdict(metrics.top1_interval),
            "top5": metrics.top5,
            "top5_interval": None if metrics.top5_interval is None else asdict(metrics.top5_interval),
            "balanced_accuracy": metrics.balanced_accuracy,
            "kappa": metrics.kappa,
            "macro": asdict(metrics.macro),
            "weighted": asdict(metrics.weighted),
            "ece": metrics.calibration.ece,
            "mean_confidence": metrics.mean_confidence,
            "calibration": [asdict(each) for each in metrics.calibration.bins],
            "classes": [asdict(each) for each in metrics.classes],
            "n_confused_pairs": len(confused),
            "confused": [asdict(each) for each in confused[:MAX_PAIRS]],
            "mistakes": [asdict(each) for each in self.mistakes],
            "unknown_classes": dict(self.unknown),
            "absent_classes": list(self.absent),
            "bad_images": dict(self.bad),
            "notes": list(self.notes),
            **({"members": [each.as_record() for each in self.members]} if self.members else {}),
            **({"fitted": asdict(self.fitted)} if self.fitted else {}),
        }


def confused_csv(metrics: Metrics) -> str:
    """Return every pair of classes that were taken for one another as CSV, the most frequent first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    pairs = metrics.confused()
    writer.writerow(["true", "predicted", "n", "share"])
    writer.writerows([each.true, each.predicted, each.n, f"{each.share:.6g}"] for each in pairs)
    return text.getvalue()
