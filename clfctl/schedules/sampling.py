"""A schedule as points: what previews, the live display and plots draw."""

from collections.abc import Iterable, Iterator, Sequence

from clfctl.schedules.base import Schedule

MAX_PER_EPOCH, MAX_POINTS = 20, 2000


def sample_curve(
    schedule: Schedule, base_lr: float, epochs: int, metrics: Sequence[float] = (), per_epoch: int = 0
) -> list[tuple[float, float]]:
    """Return (time in epochs, learning rate) of every `1 / per_epoch` of an epoch, and of the end.

    A schedule that follows metrics gets those of the epochs finished at each point, as far as `metrics` goes.
    `per_epoch` 0 takes enough for a smooth warmup, and fewer for a long training.
    """
    per_epoch = per_epoch or max(1, min(MAX_PER_EPOCH, MAX_POINTS // epochs))
    curve = [*_rates(schedule, base_lr, range(epochs), metrics, per_epoch)]
    # The last epoch keeps its rate until it ends.
    return [*curve, (float(epochs), curve[-1][1])]


def _rates(
    schedule: Schedule, base_lr: float, epochs: Iterable[int], metrics: Sequence[float], per_epoch: int
) -> Iterator[tuple[float, float]]:
    rate = schedule.given((), base_lr)
    for epoch in epochs:
        if schedule.follows_metrics:
            rate = schedule.given(tuple(metrics[:epoch]), base_lr)
        for step in range(per_epoch):
            # The very expression of the trainer, so that the bits are the same.
            t = epoch + step / per_epoch
            yield t, rate(t)
