"""How good a model's answers are, in numbers; scikit-learn computes what it has."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score

from clfctl.evaluation.calibration import Calibration, calibration
from clfctl.evaluation.intervals import Interval, interval
from clfctl.evaluation.outputs import Floats, Numbers, Outputs

TOP_K = 5


@dataclass(frozen=True)
class ClassMetrics:
    """One class: `support` images are of it, `n_predicted` were taken for it. None is what cannot be computed.

    Without images of the class that is recall, F1 and AUC; a class that was never predicted has precision 0.
    """

    name: str
    support: int
    n_predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    auc: float | None


@dataclass(frozen=True)
class Average:
    """Means over the classes that have images; `auc` is None if there are images of one class only."""

    precision: float
    recall: float
    f1: float
    auc: float | None


@dataclass(frozen=True)
class Confusion:
    """`n` images of class `true` were taken for `predicted`, a `share` of all images of class `true`."""

    true: str
    predicted: str
    n: int
    share: float


@dataclass(frozen=True)
class Metrics:
    """Everything that is known of the answers for N images, shares in [0, 1].

    `top5` is None where there are no more than five classes, `kappa` where all images and answers are of one class.
    `classes` are in the order of the model's outputs, as the rows (true) and columns (predicted) of `confusion` (C, C).
    """

    n_images: int
    loss: float
    top1: float
    top1_interval: Interval
    top5: float | None
    top5_interval: Interval | None
    balanced_accuracy: float
    kappa: float | None
    macro: Average
    weighted: Average
    calibration: Calibration
    classes: tuple[ClassMetrics, ...]
    confusion: NDArray[np.int64]

    @property
    def mean_confidence(self) -> float:
        """The mean probability of the answers."""
        return sum(each.n * each.confidence for each in self.calibration.bins) / self.n_images

    def worst_classes(self) -> list[ClassMetrics]:
        """Return the classes that have images, those of lowest F1 first, of equal ones those with more images."""
        present = [each for each in self.classes if each.support]
        return sorted(present, key=lambda each: (each.f1 or 0.0, -each.support, each.name))

    def confused(self, n: int | None = None) -> list[Confusion]:
        """Return the pairs of classes that were taken for one another, the most frequent first, at most `n`."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        true, predicted = np.nonzero(wrong)
        counts, supports = wrong[true, predicted], self.confusion.sum(axis=1)[true]
        # Of equal counts the larger share of its class, then the order of the classes.
        order = np.lexsort((predicted, true, -counts / supports, -counts))[:n]
        names = [each.name for each in self.classes]
        return [
            Confusion(names[true[i]], names[predicted[i]], int(counts[i]), float(counts[i] / supports[i]))
            for i in order.tolist()
        ]


def compute_metrics(outputs: Outputs, classes: Sequence[str]) -> Metrics:
    """Return the metrics of one or more answers; `classes` are the names of the C classes."""
    labels, predicted, n = outputs.labels, outputs.predicted, len(outputs.labels)
    right = predicted == labels
    top5 = int(is_among_first(outputs.probabilities, labels, TOP_K).sum()) if len(classes) > TOP_K else None
    of_classes = _class_metrics(outputs, predicted, classes)
    present = [each for each in of_classes if each.support]
    macro = _average(present, [1] * len(present))
    confidences = outputs.probabilities.max(axis=1)
    return Metrics(
        n_images=n,
        loss=float(outputs.losses.mean(dtype=np.float64)),
        top1=float(right.mean()),
        top1_interval=interval(int(right.sum()), n),
        top5=None if top5 is None else top5 / n,
        top5_interval=None if top5 is None else interval(top5, n),
        balanced_accuracy=macro.recall,
        kappa=_kappa(labels, predicted),
        macro=macro,
        weighted=_average(present, [each.support for each in present]),
        calibration=calibration(confidences, right),
        classes=of_classes,
        confusion=confusion_matrix(labels, predicted, labels=range(len(classes))),
    )


def is_among_first(probabilities: Floats, labels: Numbers, k: int) -> NDArray[np.bool_]:
    """Return whether each label (N,) is among the `k` likeliest classes; of equally likely ones the first count."""
    of_label = probabilities[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(probabilities.shape[1]) < labels[:, None]
    before = (probabilities > of_label) | ((probabilities == of_label) & earlier)
    result: NDArray[np.bool_] = before.sum(axis=1) < k
    return result


def _class_metrics(outputs: Outputs, predicted: Numbers, classes: Sequence[str]) -> tuple[ClassMetrics, ...]:
    every = range(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        outputs.labels, predicted, labels=every, zero_division=0
    )
    n_predicted = np.bincount(predicted, minlength=len(classes))
    result = []
    for i, name in enumerate(classes):
        has_images = support[i] > 0
        result.append(
            ClassMetrics(
                name,
                int(support[i]),
                int(n_predicted[i]),
                float(precision[i]) if has_images or n_predicted[i] else None,
                float(recall[i]) if has_images else None,
                float(f1[i]) if has_images else None,
                _auc(outputs.labels == i, outputs.probabilities[:, i]) if has_images else None,
            )
        )
    return tuple(result)


def _auc(is_class: NDArray[np.bool_], probabilities: Floats) -> float | None:
    """Return the area under the ROC curve of one class against the rest; None without a rest."""
    return None if is_class.all() else float(roc_auc_score(is_class, probabilities))


def _average(classes: Sequence[ClassMetrics], weights: Sequence[int]) -> Average:
    def mean(name: str) -> float:
        return float(np.average([getattr(each, name) for each in classes], weights=weights))

    has_auc = all(each.auc is not None for each in classes)
    return Average(mean("precision"), mean("recall"), mean("f1"), mean("auc") if has_auc else None)


def _kappa(labels: Numbers, predicted: Numbers) -> float | None:
    """Return Cohen's kappa (1960): 1 for no mistake, 0 for what chance would reach."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where it divides by zero
        kappa = float(cohen_kappa_score(labels, predicted))
    return kappa if np.isfinite(kappa) else None
