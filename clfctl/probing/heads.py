"""What is fitted on features: nearest neighbours as a check, logistic regression to become a network's head."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from clfctl.engine.features import IN_MEMORY, Features
from clfctl.errors import DataError
from clfctl.probing.blocks import Rows, fit_by_blocks, logits_of

Labels = NDArray[np.int64]
Folds = Iterator[tuple[Labels, Labels]]

# Inverse strengths of regularization, from the strongest; each about three times the one before. On standardized
# features the best of them has been between 0.001 and 0.1 for networks from 0.4 to 90 million parameters.
GRID = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
N_FOLDS = 3
# Where there are too few images to choose by.
UNTRIED = 3e-3
N_NEIGHBOURS = 10
MAX_ITERATIONS = 300
# Of the gradient: that which scikit-learn usually stops at, and one for regressions that are only compared.
TOLERANCE, ROUGH_TOLERANCE = 1e-4, 1e-3
# Images that are looked for neighbours among, of features that are not in memory.
MOST_NEIGHBOURS = 100_000
# Bytes of features below which one thread is as fast as several.
SMALL = 256 * 1024**2


@dataclass(frozen=True)
class Tried:
    """What cross-validation says of one strength of regularization `c`: accuracy and mean loss per image."""

    c: float
    top1: float
    loss: float


@dataclass(frozen=True)
class Head:
    """A linear classifier of features as the network gives them: logits are `features @ weight.T + bias`.

    `weight` (C, D) and `bias` (C,) float64 have the standardization folded in. `c` is the strength that was chosen by
    those `tried`, of which there are none where there were too few images.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    c: float
    tried: tuple[Tried, ...]

    def logits(self, features: Features) -> NDArray[np.float64]:
        """Return (N, C) for features (N, D)."""
        return logits_of(features, np.arange(len(features)), self.weight, self.bias)


def neighbours_top1(train: Features, labels: Labels, val: Features, val_labels: Labels) -> float:
    """Return the share of validation features (M, D) whose nearest training features (N, D) mostly have its class.

    By cosine, among ten of them: no parameter is fitted, so it tells whether the features are of any use at all. Of
    more features than are held in memory, every so many are taken.
    """
    if train.nbytes > IN_MEMORY:
        step = -(-len(train) // MOST_NEIGHBOURS)
        train, labels = train[::step], labels[::step]
    model = KNeighborsClassifier(min(N_NEIGHBOURS, len(train)), metric="cosine").fit(train, labels)
    return float((model.predict(val) == val_labels).mean())


def fit_head(
    features: Features,
    labels: Labels,
    n_classes: int,
    seed: int,
    groups: Labels | None = None,
    strength: float | None = None,
) -> Head:
    """Return the multinomial logistic regression of features (V, N, D), V views of each of N images.

    Its strength of regularization, unless one is given, is chosen by cross-validation over the images: the middle (the
    geometric mean) of those whose accuracy is not more than a standard error below the best one's, both judged on the
    same images. Views of an image stay together, and so do images of one of the `groups` (N,), where there are any.
    Raises DataError where fewer than two classes have images.
    """
    if len(np.unique(labels)) < 2:
        raise DataError("a probe needs training images of two classes or more", field="data")
    c, tried = (strength, ()) if strength else _chosen(features, labels, n_classes, seed, groups)
    rows = Rows(features, np.arange(len(labels)), labels)
    return Head(*_fit(rows, n_classes, (c,), TOLERANCE)[0], c, tried)


def _chosen(
    features: Features, labels: Labels, n_classes: int, seed: int, groups: Labels | None
) -> tuple[float, tuple[Tried, ...]]:
    """Return the strength that is chosen, and what cross-validation says of each, the strongest first."""
    right: list[NDArray[np.bool_]] = []
    losses = np.zeros(len(GRID))
    for kept, left_out in _folds(labels, seed, groups):
        rows, answers = Rows(features, kept, labels[kept]), labels[left_out]
        fold = np.zeros((len(GRID), len(answers)), bool)
        for number, (weight, bias) in enumerate(_fit(rows, n_classes, GRID, ROUGH_TOLERANCE)):
            logits = logits_of(features[0], left_out, weight, bias)
            fold[number] = logits.argmax(1) == answers
            highest = logits.max(axis=1, keepdims=True)
            log_sums = np.log(np.exp(logits - highest).sum(axis=1)) + highest[:, 0]
            losses[number] += (log_sums - logits[np.arange(len(answers)), answers]).sum()
        right.append(fold)
        if features.nbytes > IN_MEMORY:
            break  # one third of so many images tells the strengths apart
    if not right:
        return UNTRIED, ()
    judged = np.concatenate(right, axis=1)
    tried = tuple(Tried(*each) for each in zip(GRID, judged.mean(1).tolist(), losses / judged.shape[1], strict=True))
    best = max(range(len(GRID)), key=lambda number: (tried[number].top1, -tried[number].loss))
    behind = judged[best].astype(np.int8) - judged.astype(np.int8)
    is_as_good = behind.mean(1) <= behind.std(1) / np.sqrt(judged.shape[1])
    return float(np.exp(np.log(GRID)[is_as_good].mean())), tried


def _folds(labels: Labels, seed: int, groups: Labels | None) -> Folds:
    """Yield the images to fit on and those to judge by; none if there are too few to leave any out."""
    if len(labels if groups is None else np.unique(groups)) < 2 * N_FOLDS:
        return
    # A class with fewer images than folds cannot be in each of them.
    is_even = np.bincount(labels)[np.unique(labels)].min() >= N_FOLDS
    if groups is None:
        splitter = (StratifiedKFold if is_even else KFold)(N_FOLDS, shuffle=True, random_state=seed)
    else:
        splitter = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed) if is_even else GroupKFold(N_FOLDS)
    for kept, left_out in splitter.split(labels, labels, groups):
        if len(np.unique(labels[kept])) > 1:
            yield kept, left_out


def _fit(
    rows: Rows, n_classes: int, strengths: Sequence[float], tolerance: float
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return weight (C, D) and bias (C,) of regressions on standardized rows, for rows as they are.

    The strengths rise, so that each regression begins where the one before ended. A class without images has no
    weights, and a bias that keeps it from being named.
    """
    mean, std = rows.standard()
    present, targets = np.unique(rows.labels, return_inverse=True)
    found = []
    for weight, bias in _fitted(rows, mean, std, targets, len(present), strengths, tolerance):
        if len(present) == 2 and len(weight) == 1:
            # scikit-learn has one row for two classes: the difference of the two
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        all_weights, all_biases = np.zeros((n_classes, len(mean))), np.full(n_classes, bias.min() - 100.0)
        all_weights[present] = weight / std
        all_biases[present] = bias - (weight / std) @ mean
        found.append((all_weights, all_biases))
    return found


def _fitted(
    rows: Rows,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    targets: Labels,
    n_classes: int,
    strengths: Sequence[float],
    tolerance: float,
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield weight and bias of each strength, on standardized rows: by scikit-learn, or block by block."""
    if rows.features.nbytes > IN_MEMORY:
        yield from fit_by_blocks(rows, mean, std, targets, n_classes, strengths, MAX_ITERATIONS, tolerance)
        return
    # On few rows two threads of BLAS mostly wait for each other: measured 23 times the time of one.
    threads = 1 if rows.n_bytes < SMALL else None
    standard = rows.all()  # a copy
    standard -= mean.astype(np.float32)
    standard /= std.astype(np.float32)
    model = LogisticRegression(max_iter=MAX_ITERATIONS, tol=tolerance, warm_start=True)
    for c in strengths:
        with warnings.catch_warnings(), threadpool_limits(threads, user_api="blas"):
            # What is not reached in 300 iterations changes no answer: cross-validation judges what was reached.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(C=c).fit(standard, np.tile(targets, rows.n_views))
        yield model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
