"""What a study found: its trials, the best of them, and how that fares with other seeds."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.evaluation.intervals import interval
from clfctl.runs.history import EpochResult
from clfctl.tuning.space import Value

TrialState = Literal["complete", "pruned", "failed", "running", "waiting"]
# By which the accuracy of a trial is shown beside what it is judged by.
ACCURACY = "val_top1"
LEVEL = 0.95


@dataclass(frozen=True)
class TrialFound:
    """A trial of a study.

    `value` is the best of the monitored metric over its epochs, None before the first; `settings` has what was drawn.
    `top1` is the accuracy of that epoch with the limits of its 95 % interval over the validation images. `run` is its
    folder, which may be on another machine. `reason` says why it was pruned or failed. One that is the `same_as` an
    earlier one has the settings of that, and its value; it was not trained again.
    """

    number: int
    state: TrialState
    value: float | None = None
    settings: Mapping[str, Value] = field(default_factory=dict)
    run: str = ""
    epochs: int = 0
    seconds: float = 0.0
    top1: float | None = None
    top1_interval: tuple[float, float] | None = None
    reason: str = ""
    retry_of: int | None = None
    same_as: int | None = None

    def as_record(self) -> dict[str, Any]:
        """Return the values by name, as JSON can hold them."""
        return {"trial": self.number, **{name: each for name, each in asdict(self).items() if name != "number"}}


@dataclass(frozen=True)
class Confirmed:
    """The best trial's settings trained with other seeds: the value with each, their mean, and its 95 % interval.

    The interval is Student's, of the mean of so many; with one seed there is none. `failed` are seeds with which the
    settings could not be trained; they have no value. `is_share` is whether they are shares, from 0 to 1.
    """

    trial: int
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    failed: tuple[int, ...] = ()
    is_share: bool = False

    @property
    def mean(self) -> float:
        """The mean of the values, NaN if there is none."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def interval(self) -> tuple[float, float] | None:
        """The limits between which the mean of very many seeds would be."""
        found = mean_interval(self.values)
        return (max(0.0, found[0]), min(1.0, found[1])) if found and self.is_share else found


@dataclass(frozen=True)
class Tuned:
    """What a study found.

    `study` is its folder, `monitor` the metric that trials are judged by, in the direction `mode`. `trials` are in
    their order; `best` is the best of those that came to their end. `importance` has the share of each setting in how
    the trials differ, by fANOVA (Hutter et al. 2014); empty where there are too few of them. `confirmed` is the best
    with other seeds. `notes` are sentences; `is_done` tells whether it has as many trials as it was to have.
    """

    study: Path
    monitor: str
    mode: Literal["min", "max"]
    trials: tuple[TrialFound, ...]
    best: TrialFound | None
    importance: Mapping[str, float]
    confirmed: Confirmed | None = None
    notes: tuple[str, ...] = ()
    is_done: bool = True

    def ranked(self) -> list[TrialFound]:
        """Return the trials that came to their end, the best first, then those that were pruned, by their value.

        Those that are the same as another are left out.
        """
        sign = 1 if self.mode == "min" else -1
        own = [each for each in self.trials if each.same_as is None and each.value is not None]
        ended = [each for each in own if each.state in ("complete", "pruned")]
        return sorted(ended, key=lambda each: (each.state != "complete", sign * (each.value or 0.0), each.number))

    def n(self, state: TrialState) -> int:
        """Return how many trials are in a state."""
        return sum(each.state == state for each in self.trials)


def best_epoch(history: Sequence[EpochResult], monitor: str) -> EpochResult | None:
    """Return the epoch that a trial is judged by: the best by the monitored metric; None if none has it."""
    known = [each for each in history if math.isfinite(each.metric(monitor))]
    sign = 1 if METRICS[monitor].mode == "min" else -1
    return min(known, key=lambda each: sign * each.metric(monitor), default=None)


def about(history: Sequence[EpochResult], n_val: int, monitor: str) -> dict[str, Any]:
    """Return what is noted of a trial's epochs beside its value, as JSON can hold it."""
    noted: dict[str, Any] = {"epochs": len(history), "seconds": sum(each.time_s for each in history)}
    best = best_epoch(history, monitor)
    top1 = best.metric(ACCURACY) if best else math.nan
    if best and math.isfinite(top1):
        noted |= {"top1": top1, "epoch": best.epoch}
        if n_val:
            found = interval(round(top1 * n_val), n_val)
            noted["top1_interval"] = [found.low, found.high]
    return noted


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the limits of the mean at LEVEL by Student's t (1908); None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit  # half a second

    mean = statistics.fmean(values)
    far = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * statistics.stdev(values) / math.sqrt(len(values))
    return mean - far, mean + far
