"""A schedule as points: what previews, the live display and plots draw."""

from collections.abc import Sequence

from clfctl.schedules.base import Schedule


def sample_curve(
    schedule: Schedule, base_lr: float, epochs: int, per_epoch: int, metrics: Sequence[float] = ()
) -> list[tuple[float, float]]:
    """Return (time in epochs, learning rate) of every `1 / per_epoch` of an epoch.

    A schedule that follows metrics gets those of the epochs finished at each point, as far as `metrics` goes.
    """
    return [
        (epoch + step / per_epoch, schedule.lr(base_lr, epoch + step / per_epoch, metrics[:epoch]))
        for epoch in range(epochs)
        for step in range(per_epoch)
    ]
