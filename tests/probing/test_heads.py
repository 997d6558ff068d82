"""A probe's regression is scikit-learn's, the standardization folded in, and chosen by images that were kept out."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from clfctl.engine.features import Features
from clfctl.errors import DataError
from clfctl.probing import blocks, heads
from clfctl.probing.blocks import Rows
from clfctl.probing.heads import GRID, Labels, fit_head, neighbours_top1


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads of BLAS only wait for each other on so few rows."""
    with threadpool_limits(1):
        yield


def clouds(n_classes: int, n_each: int, size: int, spread: float, seed: int = 0) -> tuple[Features, Labels]:
    """Return features (2, N, D) in clouds around a centre for each class, of scales that differ by a thousand."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_classes), n_each)
    scales = np.geomspace(0.01, 10, size)
    centres = draw.normal(size=(n_classes, size))
    views = [(centres[labels] + spread * draw.normal(size=(len(labels), size))) * scales + 3 for _ in range(2)]
    return np.stack(views).astype(np.float32), labels


@settings(max_examples=10)
@given(st.integers(2, 5), st.integers(6, 12), st.integers(2, 20), st.integers(0, 3))
def test_answers_are_those_of_scikit_learn(n_classes: int, n_each: int, size: int, seed: int) -> None:
    features, labels = clouds(n_classes, n_each, size, 0.8, seed)
    head = fit_head(features, labels, n_classes, seed)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=head.c, max_iter=500, tol=1e-6))
    theirs.fit(features.reshape(-1, size).astype(np.float64), np.tile(labels, 2))
    ours = head.logits(features[0])
    shares = np.exp(ours - ours.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    assert shares == pytest.approx(theirs.predict_proba(features[0].astype(np.float64)), abs=5e-3)


@pytest.mark.parametrize("spread", [0.3, 3.0, 8.0])
def test_the_strength_lies_among_those_that_are_as_good_as_the_best(spread: float) -> None:
    features, labels = clouds(4, 30, 200, spread)
    head = fit_head(features, labels, 4, 0)
    assert [each.c for each in head.tried] == list(GRID)
    best = max(each.top1 for each in head.tried)
    nearest = min(head.tried, key=lambda each: abs(np.log(each.c / head.c)))
    assert nearest.top1 > best - 0.06
    if all(each.top1 == best for each in head.tried):
        assert head.c == pytest.approx(np.sqrt(GRID[0] * GRID[-1]), rel=0.05)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_block_by_block_it_is_the_regression_of_scikit_learn(n_classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = clouds(n_classes, 40, 30, 2.0)
    whole = heads._fit(Rows(features, np.arange(len(labels)), labels), n_classes, GRID[::2], 1e-6)
    monkeypatch.setattr(heads, "IN_MEMORY", 0)
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 4000)  # 33 rows
    parts = heads._fit(Rows(features, np.arange(len(labels)), labels), n_classes, GRID[::2], 1e-6)
    for (weight, bias), (of_blocks, bias_of_blocks) in zip(whole, parts, strict=True):
        logits, again = (features[0] @ w.T + b for w, b in ((weight, bias), (of_blocks, bias_of_blocks)))
        logits, again = (each - each.mean(axis=1, keepdims=True) for each in (logits, again))
        assert again == pytest.approx(logits, abs=5e-3)


def test_views_of_an_image_stay_together() -> None:
    """Features that are noise, the same in both views: a fold that had the other view would know the image by heart."""
    draw = np.random.default_rng(0)
    noise = draw.normal(size=(90, 400)).astype(np.float32)
    head = fit_head(np.stack([noise, noise]), np.repeat(np.arange(3), 30), 3, 0)
    assert max(each.top1 for each in head.tried) < 0.55


def test_a_class_without_training_images_is_never_named() -> None:
    features, labels = clouds(3, 10, 8, 0.5)
    head = fit_head(features, np.where(labels == 2, 3, labels), 4, 0)
    assert set(head.logits(features[0]).argmax(1)) <= {0, 1, 3}


@pytest.mark.parametrize("counts", [(1, 1), (1, 9), (2, 2, 2), (5, 1, 1)])
def test_few_images_are_enough(counts: tuple[int, ...]) -> None:
    features, _ = clouds(1, sum(counts), 6, 1.0)
    labels = np.repeat(np.arange(len(counts)), counts)
    assert fit_head(features, labels, len(counts), 0).weight.shape == (len(counts), 6)


def test_one_class_is_refused() -> None:
    features, _ = clouds(1, 9, 6, 1.0)
    with pytest.raises(DataError, match="two classes or more"):
        fit_head(features, np.zeros(9, np.int64), 2, 0)


def test_neighbours_tell_whether_the_features_are_of_use() -> None:
    features, labels = clouds(4, 20, 16, 0.3)
    assert neighbours_top1(features[0], labels, features[1], labels) > 0.9
    noise = np.random.default_rng(0).normal(size=(80, 16)).astype(np.float32)
    assert neighbours_top1(noise[:40], labels[:40], noise[40:], labels[40:]) < 0.6
