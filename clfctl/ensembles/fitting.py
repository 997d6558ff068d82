"""Weights of an ensemble, fitted on validation images and judged on those that they were not fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clfctl.errors import UsageError
from clfctl.evaluation.outputs import Floats, Numbers
from clfctl.evaluation.record import Fitted
from clfctl.inference.combining import combine, fit_weights, losses_of

N_FOLDS = 5
# Fewer say nothing of a weight.
LEAST = 4 * N_FOLDS
_SEED = 0


@dataclass(frozen=True)
class CrossFit:
    """Weights fitted on all N images, and the answers (N, C) for each with weights that were fitted without it."""

    fitted: Fitted
    out_of_fold: Floats


def cross_fit(answers: Sequence[Floats], labels: Numbers, groups: Numbers | None, data: str, split: str) -> CrossFit:
    """Fit the weights of a mean of the members' `answers` (N, C) for images with `labels` (N,).

    The images are dealt into five folds, always in the same way; what belongs to one of the `groups` (N,) stays
    together. Each fold is answered with weights fitted on the other four. Raises UsageError if there are too few.
    """
    n_parts = len(labels) if groups is None else len(np.unique(groups))
    if n_parts < LEAST:
        what = f"{n_parts} validation {'images' if groups is None else 'groups of images'}"
        hint = "take `ensemble=mean`, which needs none"
        raise UsageError(f"weights cannot be fitted on {what}; it must be at least {LEAST}", hint, field="ensemble")
    folds = folds_of(len(labels), groups)
    out_of_fold, of_folds = np.empty_like(answers[0]), []
    for fold in range(N_FOLDS):
        held, others = folds == fold, folds != fold
        of_folds.append(fit_weights([each[others] for each in answers], labels[others]))
        out_of_fold[held] = combine("weighted", [each[held] for each in answers], of_folds[-1])
    losses = [mean_loss(each, labels) for each in (out_of_fold, combine("mean", answers))]
    weights = fit_weights(answers, labels)
    fitted = Fitted(data, split, len(labels), N_FOLDS, weights, tuple(of_folds), *losses)
    return CrossFit(fitted, out_of_fold)


def folds_of(n: int, groups: Numbers | None = None) -> Numbers:
    """Return the fold (N,) of each of `n` images; all of a group are in one."""
    numbers = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    dealt = np.random.default_rng(_SEED).permutation(int(numbers.max()) + 1) % N_FOLDS
    found: Numbers = dealt[numbers]
    return found


def mean_loss(answers: Floats, labels: Numbers) -> float:
    """Return the mean negative logarithm of the true class's probability, of answers (N, C) for N > 0 images."""
    return float(losses_of(answers, labels).mean(dtype=np.float64))
