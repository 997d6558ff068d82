"""Metrics against scikit-learn and against small cases that were worked out by hand."""

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics as sk

from clfctl.evaluation.calibration import calibration
from clfctl.evaluation.intervals import interval
from clfctl.evaluation.metrics import compute_metrics, is_among_first
from clfctl.evaluation.outputs import Outputs
from clfctl.evaluation.record import Evaluation, Subject, confused_csv

SUBJECT = Subject("runs/x", "best.safetensors", 3, "custom", "photos/", "val", 1, 32)


def outputs_of(labels: list[int], probabilities: list[list[float]]) -> Outputs:
    p, true = np.array(probabilities, np.float32), np.array(labels, np.int64)
    with np.errstate(divide="ignore"):
        losses = -np.log(p[np.arange(len(true)), true])
    return Outputs(np.arange(len(true)), true, p, losses)


@st.composite
def outputs(draw: st.DrawFn) -> Outputs:
    """One to thirty answers of few digits, so that many are tied, for two to eight classes, some without images."""
    n, c = draw(st.integers(1, 30)), draw(st.integers(2, 8))
    raw = draw(arrays.arrays(np.int64, (n, c), elements=st.integers(0, 4)))
    labels = draw(st.lists(st.integers(0, c - 1), min_size=n, max_size=n))
    p = (raw + 0.25) / (raw + 0.25).sum(axis=1, keepdims=True)
    return outputs_of(labels, p.tolist())


def names_of(outputs: Outputs) -> list[str]:
    return [f"class {i}" for i in range(outputs.probabilities.shape[1])]


@pytest.mark.slow
@given(outputs())
def test_agrees_with_scikit_learn(found: Outputs) -> None:
    labels, predicted, p = found.labels, found.probabilities.argmax(axis=1), found.probabilities
    c = p.shape[1]
    result = compute_metrics(found, names_of(found))
    present = sorted(set(labels.tolist()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert result.top1 == pytest.approx(sk.accuracy_score(labels, predicted))
        assert result.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
        kappa = sk.cohen_kappa_score(labels, predicted)
        assert (result.kappa is None) == math.isnan(kappa)
        assert result.kappa is None or result.kappa == pytest.approx(kappa)
        for name, average in (("macro", result.macro), ("weighted", result.weighted)):
            expected = sk.precision_recall_fscore_support(
                labels, predicted, labels=present, average=name, zero_division=0
            )
            assert (average.precision, average.recall, average.f1) == pytest.approx(expected[:3])
        loss = sk.log_loss(labels, p.astype(float), labels=range(c))
        assert result.loss == pytest.approx(loss, rel=1e-5)
    assert np.array_equal(result.confusion, sk.confusion_matrix(labels, predicted, labels=range(c)))
    for i, each in enumerate(result.classes):
        assert (each.support, each.n_predicted) == ((labels == i).sum(), (predicted == i).sum())
        assert (each.recall is None) == (i not in present)
        assert (each.auc is None) == (i not in present or len(present) == 1)
        if each.auc is not None:
            assert each.auc == pytest.approx(auc_by_pairs(p[labels == i, i], p[labels != i, i]))
    # Every image is in one place of the matrix.
    assert sum(each.n for each in result.confused()) == (predicted != labels).sum()
    assert result.mean_confidence == pytest.approx(p.max(axis=1).astype(float).mean())


def auc_by_pairs(of_class: np.ndarray, of_others: np.ndarray) -> float:
    """The share of pairs in which the image of the class got more; half of those that got the same."""
    difference = of_class[:, None].astype(float) - of_others[None].astype(float)
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


@pytest.mark.parametrize("c", [3, 4, 9])
def test_all_auc_at_once_is_that_of_scikit_learn(c: int) -> None:
    """It refuses absent classes, and has one number for two."""
    rng = np.random.default_rng(c)
    labels, p = rng.permutation(np.arange(60) % c), rng.integers(1, 5, (60, c)).astype(float)
    p /= p.sum(axis=1, keepdims=True)
    found = outputs_of(labels.tolist(), p.tolist())
    result = compute_metrics(found, names_of(found))
    for name, average in (("macro", result.macro), ("weighted", result.weighted)):
        expected = sk.roc_auc_score(labels, found.probabilities, multi_class="ovr", average=name)
        assert average.auc == pytest.approx(expected)


@given(outputs(), st.integers(1, 8))
def test_among_the_first_k(found: Outputs, k: int) -> None:
    """Of equally likely classes the first counts, so that the first of all is what argmax says."""
    order = np.argsort(-found.probabilities, axis=1, kind="stable")[:, :k]
    expected = (order == found.labels[:, None]).any(axis=1)
    among = is_among_first(found.probabilities, found.labels, k)
    assert np.array_equal(among, expected)
    if k == 1:
        assert np.array_equal(among, found.predicted == found.labels)


def test_top_5_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels, p = rng.integers(0, 12, 500), rng.dirichlet(np.ones(12), 500)
    result = compute_metrics(outputs_of(labels.tolist(), p.tolist()), [f"{i}" for i in range(12)])
    assert result.top5 == pytest.approx(sk.top_k_accuracy_score(labels, p, k=5, labels=range(12)))
    assert result.top5 is not None
    assert result.top5_interval is not None
    assert result.top5_interval.low < result.top5 < result.top5_interval.high


def test_small_case_by_hand() -> None:
    """Cats: two of three right; dogs: one of two right; no birds, but a cat was taken for one."""
    found = outputs_of([0, 0, 0, 1, 1], [[0.9, 0.1, 0], [0.6, 0.4, 0], [0.1, 0.2, 0.7], [0.3, 0.7, 0], [0.8, 0.2, 0]])
    result = compute_metrics(found, ["cat", "dog", "bird"])
    cat, dog, bird = result.classes
    assert [cat.support, cat.precision, cat.recall, cat.f1] == [
        3,
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
    ]
    assert [dog.support, dog.precision, dog.recall, dog.f1] == [2, 1.0, 0.5, pytest.approx(2 / 3)]
    assert (bird.support, bird.n_predicted, bird.precision, bird.recall, bird.f1, bird.auc) == (
        0,
        1,
        0.0,
        None,
        None,
        None,
    )
    assert result.top1 == 0.6
    assert result.top5 is None
    assert result.macro.precision == pytest.approx((2 / 3 + 1) / 2)
    assert result.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    # Cats 0.9, 0.6, 0.1 against dogs 0.3, 0.8: of six pairs three are in order.
    assert cat.auc == pytest.approx(3 / 6)
    assert result.loss == pytest.approx(-np.log([0.9, 0.6, 0.1, 0.7, 0.2]).mean(), rel=1e-6)
    # Agreement 3/5; by chance 3/5 * 3/5 of cats and 2/5 * 1/5 of dogs.
    assert result.kappa == pytest.approx((0.6 - 0.44) / (1 - 0.44))
    assert [(each.true, each.predicted, each.n, each.share) for each in result.confused()] == [
        ("dog", "cat", 1, 0.5),
        ("cat", "bird", 1, pytest.approx(1 / 3)),
    ]
    assert [each.name for each in result.worst_classes()] == ["cat", "dog"]
    assert confused_csv(result) == "true,predicted,n,share\ndog,cat,1,0.5\ncat,bird,1,0.333333\n"
    assert found.worst(5).tolist() == [2, 4]


def test_calibration_by_hand() -> None:
    """Two bins of ten hold images: 0.75 sure and right once in two, 0.95 sure and right twice."""
    confidences = np.array([0.72, 0.78, 0.95, 0.95], np.float32)
    result = calibration(confidences, np.array([True, False, True, True]), n_bins=10)
    assert [(each.n, each.accuracy) for each in result.bins] == [(2, 0.5), (2, 1.0)]
    assert [each.confidence for each in result.bins] == pytest.approx([0.75, 0.95], abs=1e-6)
    assert result.ece == pytest.approx(0.5 * 0.25 + 0.5 * 0.05, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=40), st.integers(1, 20))
def test_calibration_is_the_sum_over_bins(answers: list[tuple[float, bool]], n_bins: int) -> None:
    confidences, right = np.array([each[0] for each in answers], np.float32), np.array([each[1] for each in answers])
    expected = 0.0
    edges = np.linspace(0, 1, n_bins + 1)
    for i in range(n_bins):
        inside = (confidences > edges[i]) & (confidences <= edges[i + 1])
        inside |= (confidences == 0) & (i == 0)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidences[inside].astype(float).mean())
    result = calibration(confidences, right, n_bins)
    assert result.ece == pytest.approx(expected, abs=1e-9)
    assert sum(each.n for each in result.bins) == len(answers)


def test_interval_is_that_of_resampled_images() -> None:
    right, rng = np.arange(200) < 150, np.random.default_rng(1)
    shares = rng.choice(right, (4000, 200)).mean(axis=1)
    found = interval(150, 200)
    assert found.method == "bootstrap"
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(shares, [0.025, 0.975])), abs=0.006)
    assert interval(150, 200) == found


@pytest.mark.parametrize("n", [1, 10, 1000])
def test_no_mistake_is_no_certainty(n: int) -> None:
    """The limit at which n right answers in a row are as unlikely as 2.5 %."""
    found = interval(n, n)
    assert (found.high, found.method) == (1.0, "exact")
    assert found.low**n == pytest.approx(0.025)
    assert interval(0, n).high == pytest.approx(1 - found.low)


@given(outputs())
def test_a_record_is_strict_json(found: Outputs) -> None:
    names = names_of(found)
    evaluation = Evaluation(SUBJECT, compute_metrics(found, names), {}, (), {}, (), ())
    record = json.loads(json.dumps(evaluation.as_record(), allow_nan=False))
    assert record["n_images"] == len(found.labels)
    assert [each["name"] for each in record["classes"]] == names
    assert record["top1"] == evaluation.metrics.top1


def test_one_image_of_one_class_is_enough() -> None:
    result = compute_metrics(outputs_of([1], [[0.2, 0.8]]), ["a", "b"])
    assert (result.top1, result.kappa, result.macro.auc) == (1.0, None, None)
    assert result.confused() == []
