"""Putting a comparison together, of what runs' files tell and of what was measured."""

import math
from collections.abc import Sequence
from dataclasses import replace

from clfctl.comparing.choice import choose
from clfctl.comparing.comparison import Comparison, Side, order_of
from clfctl.comparing.entries import Entry, differences, names_of
from clfctl.comparing.files import of_files
from clfctl.comparing.images import Common, common_images
from clfctl.comparing.limits import limits_of
from clfctl.comparing.origins import suspects
from clfctl.comparing.pairs import pairs_of
from clfctl.comparing.speed import Cost, all_of, costs_of
from clfctl.evaluation.intervals import Interval
from clfctl.evaluation.metrics import Metrics
from clfctl.inference.evaluate import Measured


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
    if all(each.chosen.is_own and each.chosen.split == "val" for each in measured):
        notes += suspects([each.entry.run for each in ordered], [each.name for each in ordered])
    accuracies = [each.top1 for each in common.metrics]
    choice = choose(accuracies, [costs[place] for place in order], pairs, [each.name for each in ordered])
    return replace(found, common=common, pairs=tuple(pairs), choice=choice, notes=tuple(notes))


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


def _reordered(common: Common, order: Sequence[int]) -> Common:
    return replace(
        common,
        said=tuple(common.said[place] for place in order),
        right=common.right[list(order)],
        metrics=tuple(common.metrics[place] for place in order),
        outputs=tuple(common.outputs[place] for place in order),
        n_of=tuple(common.n_of[place] for place in order),
    )
