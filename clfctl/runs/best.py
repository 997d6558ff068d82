"""Which epoch's weights are kept as best, and what they must beat: decided by the records of the epochs alone."""

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from clfctl.evaluation.epoch_metrics import AS_MONITORED, METRICS
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import read_header
from clfctl.runs.history import EpochResult

# The metric that settles it between epochs that are equally good.
TIE = "val_loss"


@dataclass(frozen=True)
class Criterion:
    """What best goes by: a metric in its own direction; of equal epochs the one of smaller TIE, if `breaks_ties`."""

    metric: str
    breaks_ties: bool = True

    def is_better(self, new: EpochResult, kept: EpochResult | None) -> bool:
        """Return whether a new epoch is to be kept instead of another; NaN is never better."""
        value, other = new.metric(self.metric), kept.metric(self.metric) if kept else math.nan
        if math.isnan(value) or kept is None or math.isnan(other):
            return not math.isnan(value)
        if value == other and self.breaks_ties:
            return new.metric(TIE) < kept.metric(TIE)
        return value < other if METRICS[self.metric].mode == "min" else value > other

    def best_of(self, history: Sequence[EpochResult]) -> EpochResult | None:
        """Return the best of all epochs, whether its weights are kept or not; None if none has the metric."""
        best = None
        for result in history:
            best = result if self.is_better(result, best) else best
        return best


def best_epochs(history: Sequence[EpochResult], criterion: Criterion, n: int) -> list[EpochResult]:
    """Return the `n` best epochs, the best first, of equal ones the earlier; those that lack the metric never count."""
    found, left = list[EpochResult](), list(history)
    while len(found) < n and (best := criterion.best_of(left)):
        found.append(best)
        left.remove(best)
    return found


def criterion_of(keep_best: str, monitor: str, history: Sequence[EpochResult]) -> Criterion:
    """Return what best goes by; by the monitored metric where no epoch has the other, as without validation images."""
    is_known = any(not math.isnan(result.metric(keep_best)) for result in history)
    if keep_best == AS_MONITORED or (history and not is_known):
        return Criterion(monitor, breaks_ties=False)
    return Criterion(keep_best)


def gone_best(history: Sequence[EpochResult], criterion: Criterion) -> EpochResult | None:
    """Return the epoch that is better than the one whose weights are kept, if there is one: its weights are gone."""
    kept, best = kept_of(history), criterion.best_of(history)
    return best if kept and best and criterion.is_better(best, kept) else None


def kept_of(history: Sequence[EpochResult]) -> EpochResult | None:
    """Return the epoch whose weights are those of the best checkpoint: the latest that was better than those before."""
    return next((result for result in reversed(history) if result.is_best), None)


def as_souped(run: RunFolder, kept: EpochResult | None, metric: str) -> EpochResult | None:
    """Return the kept epoch with what the best checkpoint is worth, where that is a soup which was judged by a metric.

    A soup has no epoch of its own; what comes later has to beat it, not the epochs that it was made of.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        made = json.loads(run.soup.read_text(encoding="utf-8"))
        if kept and made["metric"] == metric and len(made["epochs"]) > 1:
            return replace(kept, metrics={**kept.metrics, metric: float(made["value"])})
    return kept


def put_later_best_aside(run: RunFolder, n_epochs: int) -> str:
    """Put the best checkpoint aside if it is of a later epoch than the `n_epochs` that a run goes on from.

    That is for a run that goes on with changes: it trains those epochs otherwise, and its records would call the
    weights of the old course those of an epoch of the new one. Returns a sentence then, else nothing.
    """
    with contextlib.suppress(OSError, ValueError):  # whoever reads it says what is wrong with it
        epoch = len(read_header(run.best).history)
        if epoch > n_epochs:
            aside = run.best.with_name(f"{run.best.stem}.epoch-{epoch}{run.best.suffix}")
            run.best.replace(aside)
            why = f"{run.best.name} is of epoch {epoch}, which is now trained again with changes"
            return f"Note: {why}; it is kept as {aside.name}."
    return ""
