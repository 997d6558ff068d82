"""A schedule as points: what previews, the live display and plots draw."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from clfctl.schedules.base import Rate, Schedule, whole
from clfctl.schedules.rates import at_all

MAX_PER_EPOCH, MAX_POINTS = 20, 2000


def sample_curve(
    schedule: Schedule, base_lr: float, epochs: int, metrics: Sequence[float] = (), per_epoch: int = 0
) -> list[tuple[float, float]]:
    """Return (time in epochs, learning rate) of every `1 / per_epoch` of an epoch, and of the end.

    A schedule that follows metrics gets those of the epochs finished at each point, as far as `metrics` goes.
    `per_epoch` 0 takes enough for a smooth warmup, fewer for a long training, and of a very long one not every epoch.
    """
    chosen = range(epochs) if per_epoch else epochs_to_draw(schedule, epochs)
    per_epoch = per_epoch or max(1, min(MAX_PER_EPOCH, MAX_POINTS // epochs))
    # The very expression of the trainer, so that the bits are the same.
    curve = [
        (t := epoch + step / per_epoch, rate(t))
        for epoch, rate in rates_of(schedule, base_lr, chosen, metrics)
        for step in range(per_epoch)
    ]
    # The last epoch keeps its rate until it ends.
    return [*curve, (float(epochs), curve[-1][1])]


def epochs_to_draw(schedule: Schedule, epochs: int) -> Sequence[int]:
    """Return the epochs that show the curve of a training: all, or some if there are more than a picture can show."""
    if epochs <= MAX_POINTS:
        return range(epochs)
    seams = {whole(each.start) for each in schedule.segments(epochs)}
    # Both sides of every seam, and the end.
    ends = {epoch for seam in seams for epoch in (seam - 1, seam) if 0 <= epoch < epochs} | {epochs - 1}
    return sorted({*range(0, epochs, math.ceil(epochs / MAX_POINTS)), *ends})


def rates_of(
    schedule: Schedule, base_lr: float, epochs: Iterable[int], metrics: Sequence[float]
) -> Iterator[tuple[int, Rate]]:
    """Yield each of some epochs, in ascending order, with its rate given the metrics before it."""
    if not schedule.follows_metrics:
        rate = schedule.given((), base_lr)
        yield from ((epoch, rate) for epoch in epochs)
        return
    rates, n_taken = schedule.by_epoch(metrics, base_lr), 0
    for epoch in epochs:
        yield epoch, next(islice(rates, epoch - n_taken, None))
        n_taken = epoch + 1


def rates_in(rate: Rate, epoch: int, batches: range, n: int) -> list[float]:
    """Return the rate of some batches, in ascending order, of an epoch that has `n` of them."""
    # The very expression of the trainer, so that the bits are the same.
    return at_all(rate, [epoch + batch / n for batch in batches])
