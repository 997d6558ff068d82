"""Putting a comparison together, of what runs' files tell and of what was measured."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from clfctl.comparing.choice import choose
from clfctl.comparing.comparison import Comparison, Side, order_of
from clfctl.comparing.entries import Entry, differences, names_of
from clfctl.comparing.files import of_files
from clfctl.comparing.images import Common, common_images
from clfctl.comparing.pairs import pairs_of
from clfctl.comparing.speed import Cost, all_of, costs_of
from clfctl.evaluation.intervals import LEVEL, Interval, Z
from clfctl.evaluation.metrics import Metrics
from clfctl.evaluation.outputs import Outputs
from clfctl.inference.evaluate import Measured

_N_RESAMPLES = 2000
# A resample draws a number for each cell of the confusion matrix.
_MOST_CLASSES = 50
_SEED = 0


def compare_measured(entries: Sequence[Entry], measured: Sequence[Measured], sort: str) -> Comparison:
    """Return the comparison of runs that were measured, each on the images that it holds out.

    Raises UsageError if they cannot be sorted so.
    """
    common, notes = common_images(measured)
    costs = _costs(measured)
    sides = []
    for place, (entry, name) in enumerate(zip(entries, names_of(entries), strict=True)):
        cost = costs[place]
        numbers = of_files(entry) | {
            "parameters": float(cost.n_parameters),
            "bytes": float(cost.n_bytes),
            "latency_ms": cost.latency_ms,
            "images_per_s": cost.images_per_s,
        }
        limits: dict[str, Interval] = {}
        if common:
            numbers |= numbers_of(common.metrics[place])
            limits = limits_of(common.metrics[place], common.outputs[place])
        sides.append(Side(entry, name, numbers, limits, measured[place], cost))
    order = order_of(sides, sort)
    ordered = tuple(sides[place] for place in order)
    found = Comparison(ordered, tuple(differences([each.entry for each in ordered])), notes=tuple(notes))
    if not common:
        return found
    common = _reordered(common, order)
    pairs = pairs_of(common.right)
    notes += of_beginnings(ordered, common)
    accuracies = [each.top1 for each in common.metrics]
    choice = choose(accuracies, [costs[place] for place in order], pairs, [each.name for each in ordered])
    return replace(found, common=common, pairs=tuple(pairs), choice=choice, notes=tuple(notes))


def of_beginnings(sides: Sequence[Side], common: Common) -> list[str]:
    """Return a sentence for each run that began with the weights of another, which may know the images compared."""
    notes = []
    for side in sides:
        settings, measured = side.entry.settings, side.measured
        start = settings.start_from if settings else None
        of_run = measured and Path(measured.trained.settings.data).absolute() == Path(common.data).absolute()
        if start is not None and of_run and not side.entry.holds_out_alike:
            what = f"{side.name} began with the weights of {start}, which may have been trained on these images"
            notes.append(f"Warning: {what}: then it looks better than it is. `data=` names images that neither knows.")
    return notes


def _costs(measured: Sequence[Measured]) -> list[Cost]:
    """Return what each costs; an ensemble as much as all its members, one after the other."""
    of_models = [(each.trained, *each.others) for each in measured]
    every = iter(costs_of([trained for models in of_models for trained in models]))
    return [all_of([next(every) for _ in models]) for models in of_models]


def numbers_of(metrics: Metrics) -> dict[str, float]:
    """Return the numbers of the metrics that runs are compared by; NaN is what cannot be computed."""
    return {
        "top1": metrics.top1,
        "top5": math.nan if metrics.top5 is None else metrics.top5,
        "loss": metrics.loss,
        "f1": metrics.macro.f1,
        "balanced_accuracy": metrics.balanced_accuracy,
        "kappa": math.nan if metrics.kappa is None else metrics.kappa,
        "ece": metrics.calibration.ece,
    }


def limits_of(metrics: Metrics, outputs: Outputs) -> dict[str, Interval]:
    """Return how far the numbers may be off: shares by the bootstrap, the loss as a normal mean.

    For F1, balanced accuracy and kappa the confusion matrix is drawn again as a multinomial, up to 50 classes.
    """
    found = {"top1": metrics.top1_interval}
    if metrics.top5_interval:
        found["top5"] = metrics.top5_interval
    n = len(outputs.losses)
    if n > 1:
        off = Z * float(outputs.losses.std(ddof=1, dtype=np.float64)) / math.sqrt(n)
        found["loss"] = Interval(max(0.0, metrics.loss - off), metrics.loss + off, "normal")
    n_classes = len(metrics.classes)
    if n_classes <= _MOST_CLASSES:
        shares = metrics.confusion.ravel() / n
        drawn = np.random.default_rng(_SEED).multinomial(n, shares, _N_RESAMPLES).reshape(-1, n_classes, n_classes)
        right, support, predicted = np.einsum("nii->ni", drawn), drawn.sum(axis=2), drawn.sum(axis=1)
        has_images = support > 0
        f1 = np.where(has_images, 2 * right / np.maximum(support + predicted, 1), 0.0)
        recall = np.where(has_images, right / np.maximum(support, 1), 0.0)
        by_chance = (support * predicted).sum(axis=1) / n**2
        agreed = right.sum(axis=1) / n
        spreads = {
            "f1": f1.sum(axis=1) / has_images.sum(axis=1),
            "balanced_accuracy": recall.sum(axis=1) / has_images.sum(axis=1),
            "kappa": ((agreed - by_chance) / np.where(by_chance < 1, 1 - by_chance, np.nan)),
        }
        for name, values in spreads.items():
            if np.isfinite(values).all():
                low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
                found[name] = Interval(low, high, "bootstrap")
    return found


def _reordered(common: Common, order: Sequence[int]) -> Common:
    return replace(
        common,
        said=tuple(common.said[place] for place in order),
        right=common.right[list(order)],
        metrics=tuple(common.metrics[place] for place in order),
        outputs=tuple(common.outputs[place] for place in order),
        n_of=tuple(common.n_of[place] for place in order),
    )
