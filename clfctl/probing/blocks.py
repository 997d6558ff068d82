"""Logistic regression on features that do not fit into memory: read block by block from the file that keeps them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch.nn import functional

Floats = NDArray[np.float64]

_BLOCK_BYTES = 64 * 1024**2
_SMALLEST_STD = 1e-6


@dataclass(frozen=True)
class Rows:
    """Those of features (V, N, D) float32 that are of some `images`, with their `labels`; each view is a row."""

    features: NDArray[np.float32]
    images: NDArray[np.int64]
    labels: NDArray[np.int64]

    @property
    def n_views(self) -> int:
        """Rows of an image."""
        return len(self.features)

    @property
    def n_bytes(self) -> int:
        """Bytes of all rows."""
        return self.n_views * len(self.images) * int(self.features.shape[2]) * self.features.itemsize

    def all(self) -> NDArray[np.float32]:
        """Return all rows (V * N, D), view after view."""
        return self.features[:, self.images].reshape(-1, self.features.shape[2])

    def blocks(self) -> Iterator[tuple[NDArray[np.float32], slice]]:
        """Yield rows (B, D) and which of the images they are of, of every view, as many as a block has room for."""
        size = max(1, _BLOCK_BYTES // (self.features.shape[2] * self.features.itemsize))
        for view in self.features:
            for start in range(0, len(self.images), size):
                part = slice(start, start + size)
                yield view[self.images[part]], part

    def standard(self) -> tuple[Floats, Floats]:
        """Return mean and standard deviation (D,) of the rows, the latter never quite 0."""
        mean, n_rows = np.zeros(self.features.shape[2]), self.n_views * len(self.images)
        for block, _ in self.blocks():
            mean += block.sum(axis=0, dtype=np.float64) / n_rows
        square = np.zeros_like(mean)
        for block, _ in self.blocks():
            square += ((block - mean) ** 2).sum(axis=0) / n_rows
        return mean, np.maximum(np.sqrt(square), _SMALLEST_STD)


def logits_of(features: NDArray[np.float32], images: NDArray[np.int64], weight: Floats, bias: Floats) -> Floats:
    """Return (M, C) of M of the images of features (N, D): `features @ weight.T + bias`, in float64, by blocks."""
    rows = Rows(features[None], images, images)
    return np.concatenate([block.astype(np.float64) @ weight.T + bias for block, _ in rows.blocks()])


def fit_by_blocks(
    rows: Rows,
    mean: Floats,
    std: Floats,
    targets: NDArray[np.int64],
    n_classes: int,
    strengths: Sequence[float],
    max_iterations: int,
    tolerance: float,
) -> Iterator[tuple[Floats, Floats]]:
    """Yield weight (C, D) and bias (C,) of each strength, on standardized rows, for `targets` (N,) of the images.

    What scikit-learn's LogisticRegression minimizes, by L-BFGS too (scipy's), with passes over the rows in the place of
    a copy of them: memory is that of a block.
    """
    n_features, n_rows = len(mean), rows.n_views * len(rows.images)
    shift, scale = (torch.from_numpy(each.astype(np.float32)) for each in (mean, 1 / std))
    classes = torch.from_numpy(targets)
    start = np.zeros((n_classes, n_features + 1))
    for c in strengths:
        # scikit-learn has one row for two classes; of two rows that are opposite, each has a quarter of its square.
        penalty = (2.0 if n_classes == 2 else 1.0) / (c * n_rows)

        def loss(flat: Floats, penalty: float = penalty) -> tuple[float, Floats]:
            found = flat.reshape(n_classes, n_features + 1)
            weight, bias = (torch.from_numpy(each.astype(np.float32)) for each in (found[:, :-1], found[:, -1]))
            total, gradient = 0.0, np.zeros_like(found)
            for block, part in rows.blocks():
                standard = (torch.from_numpy(block) - shift) * scale
                logits = torch.addmm(bias, standard, weight.T)
                of = classes[part]
                total += float(functional.cross_entropy(logits.double(), of, reduction="sum")) / n_rows
                wrong = logits.softmax(1) - functional.one_hot(of, n_classes)
                gradient[:, :-1] += (wrong.T @ standard).double().numpy() / n_rows
                gradient[:, -1] += wrong.sum(0).double().numpy() / n_rows
            gradient[:, :-1] += penalty * found[:, :-1]
            return total + 0.5 * penalty * float((found[:, :-1] ** 2).sum()), gradient.ravel()

        options = {"maxiter": max_iterations, "gtol": tolerance}
        start = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(start.shape)
        yield start[:, :-1], start[:, -1]
