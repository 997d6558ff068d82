"""An evaluation as a record: what was measured, of which images, and what has to be said about it."""

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from clfctl.evaluation.metrics import Metrics

MAX_PAIRS = 50


@dataclass(frozen=True)
class Subject:
    """What was asked: the run and its checkpoint file, the data and its split, and how many views of each image.

    `image_size` is a number of pixels for a square, else height and width, such as 128x256.
    """

    run: str
    checkpoint: str
    epoch: int
    model: str
    data: str
    split: str
    n_views: int
    image_size: int | str


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
    the model without images; `bad` are images that could not be read, with the reason; `notes` are sentences.
    """

    subject: Subject
    metrics: Metrics
    unknown: Mapping[str, int]
    absent: tuple[str, ...]
    bad: Mapping[str, str]
    notes: tuple[str, ...]
    mistakes: tuple[Mistake, ...]

    def as_record(self) -> dict[str, Any]:
        """Return everything that JSON can hold, with null for what cannot be computed; no number is NaN."""
        metrics = self.metrics
        confused = metrics.confused()
        return {
            **asdict(self.subject),
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
        }


def confused_csv(metrics: Metrics) -> str:
    """Return every pair of classes that were taken for one another as CSV, the most frequent first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    pairs = metrics.confused()
    writer.writerow(["true", "predicted", "n", "share"])
    writer.writerows([each.true, each.predicted, each.n, f"{each.share:.6g}"] for each in pairs)
    return text.getvalue()
