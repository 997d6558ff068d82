"""Limits of F1, balanced accuracy, kappa and the calibration error: scipy's bootstrap finds the same."""

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, f1_score

from clfctl.comparing.limits import NAMES, limits_of, resampled
from clfctl.evaluation.calibration import calibration
from clfctl.evaluation.metrics import compute_metrics
from clfctl.evaluation.outputs import Outputs


def made(n: int, n_classes: int, seed: int = 0, sharp: float = 2.0) -> Outputs:
    draw = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    logits = draw.normal(size=(n, n_classes)) + sharp * np.eye(n_classes)[labels]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    losses = -np.log(shares[np.arange(n), labels])
    return Outputs(np.arange(n), labels, shares.astype(np.float32), losses.astype(np.float32))


def test_each_drawing_is_what_scikit_learn_makes_of_its_images() -> None:
    outputs = made(60, 4)
    draws = np.random.default_rng(0)
    for values in resampled(outputs, 4, 20):
        at = draws.integers(60, size=60)
        true, said = outputs.labels[at], outputs.predicted[at]
        expected = (
            f1_score(true, said, average="macro"),
            balanced_accuracy_score(true, said),
            cohen_kappa_score(true, said),
            calibration(outputs.probabilities.max(axis=1)[at], true == said).ece,
        )
        assert values == pytest.approx(expected, abs=1e-9)


def test_limits_of_kappa_and_of_calibration_are_those_of_scipy() -> None:
    outputs = made(80, 3)
    limits = limits_of(compute_metrics(outputs, ["a", "b", "c"]), outputs)

    def kappa(at: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> float:
        true, said = outputs.labels[at], outputs.predicted[at]
        chance = float(np.bincount(true, minlength=3) @ np.bincount(said, minlength=3)) / len(at) ** 2
        return float(((true == said).mean() - chance) / (1 - chance))

    found = bootstrap((np.arange(80),), kappa, method="percentile", n_resamples=3000, vectorized=False, random_state=1)
    assert (limits["kappa"].low, limits["kappa"].high) == pytest.approx(tuple(found.confidence_interval), abs=0.02)


@pytest.mark.parametrize("n_classes", [2, 7, 51])
def test_every_number_has_limits_that_hold_it_whatever_the_number_of_classes(n_classes: int) -> None:
    outputs = made(5 * n_classes + 20, n_classes, sharp=2.0)
    metrics = compute_metrics(outputs, [str(i) for i in range(n_classes)])
    limits = limits_of(metrics, outputs)
    values = {
        "top1": metrics.top1, "loss": metrics.loss, "f1": metrics.macro.f1, "kappa": metrics.kappa,
        "balanced_accuracy": metrics.balanced_accuracy, "ece": metrics.calibration.ece,
    }  # fmt: skip
    assert {*values, *NAMES} <= {*limits}
    for name, value in values.items():
        assert value is not None
        assert limits[name].low <= value <= limits[name].high, name
        assert limits[name].low < limits[name].high, name


def test_where_every_answer_is_right_drawing_them_again_tells_nothing() -> None:
    outputs = made(30, 3, sharp=50.0)
    limits = limits_of(compute_metrics(outputs, ["a", "b", "c"]), outputs)
    assert {"f1", "balanced_accuracy", "kappa"}.isdisjoint(limits)
    assert limits["top1"].low < limits["top1"].high == 1.0


def test_where_there_is_no_kappa_it_has_no_limits() -> None:
    shares = np.array([[0.9, 0.1]] * 2, np.float32)
    outputs = Outputs(np.arange(2), np.zeros(2, np.int64), shares, np.ones(2, np.float32))
    metrics = compute_metrics(outputs, ["a", "b"])
    assert metrics.kappa is None
    assert "kappa" not in limits_of(metrics, outputs)
