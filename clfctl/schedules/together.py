"""Schedules out of their place: one that begins in its middle, and one that others multiply."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

from clfctl.errors import UsageError
from clfctl.schedules.base import Bound, Kind, Rate, Schedule, Segment, Span
from clfctl.schedules.compose import Around
from clfctl.schedules.durations import Duration
from clfctl.schedules.recorded import moved


@dataclass(frozen=True)
class Late(Around):
    """A schedule that begins `by` epochs after its own beginning, as if it had run before.

    `inner(t + by)`. One that is fitted to the training is as long as what is left and what is left out together: after
    a warmup of 5 epochs, `cosine@5` is where a cosine of the whole training would be.
    """

    name = "late"

    by: float | Duration

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time."""
        return self._ahead(self.inner.given(moved(metrics, self._epochs()), base_lr))

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        if not isinstance(self.inner, Kind):  # a chain begins its parts by the epoch, and is in a later one already
            return super().by_epoch(metrics, base_lr)
        return map(self._ahead, self.inner.by_epoch(moved(metrics, self._epochs()), base_lr))

    def next_look(self, t: float, metrics: Sequence[float] = ()) -> float:
        """Return when the schedule inside looks at what batches showed."""
        by = self._epochs()
        return self.inner.next_look(t + by, moved(metrics, by)) - by

    def fitted(self, span: Span) -> Self:
        """Return the schedule fitted to its own epochs and those that it leaves out."""
        by = self.by.epochs(span) if isinstance(self.by, Duration) else self.by
        return replace(self, inner=self.inner.fitted(replace(span, epochs=span.epochs + by)), by=by)

    def segments(self, epochs: float) -> list[Segment]:
        """Return the parts of the schedule inside that are not over before it begins."""
        by = self._epochs()
        found = [replace(each, start=each.start - by, end=each.end - by) for each in self.inner.segments(epochs + by)]
        return [replace(each, start=max(0.0, each.start)) for each in found if each.end > 0]

    def _ahead(self, rate: Rate) -> Rate:
        by = self._epochs()
        return lambda t: rate(t + by)

    def _epochs(self) -> float:
        if isinstance(self.by, Duration):
            hint = "fit it first: schedule.fitted(Span(epochs=25, steps_per_epoch=100))"
            raise UsageError(f"a beginning at {self.by} depends on the training", hint)
        return self.by


@dataclass(frozen=True)
class Product(Bound):
    """The last of some schedules, times what each of the others makes of a rate of 1.

    `linear(start=0, t_max=3)*cosine` is a warmup under which the cosine has begun already, as in YOLO's trainers.
    """

    name = "product"

    schedules: tuple[Schedule, ...]

    @property
    def follows_metrics(self) -> bool:
        """Whether the rate depends on metrics."""
        return any(each.follows_metrics for each in self.schedules)

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time."""
        *others, last = self.schedules
        return _times([*(each.given(metrics, 1.0) for each in others), last.given(metrics, base_lr)])

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        *others, last = self.schedules
        rates = [*(each.by_epoch(metrics, 1.0) for each in others), last.by_epoch(metrics, base_lr)]
        return map(_times, zip(*rates, strict=True))

    def next_look(self, t: float, metrics: Sequence[float] = ()) -> float:
        """Return when the first of them looks at what batches showed."""
        return min(each.next_look(t, metrics) for each in self.schedules)

    def fitted(self, span: Span) -> Self:
        """Return the product of the fitted schedules."""
        return replace(self, schedules=tuple(each.fitted(span) for each in self.schedules))

    def segments(self, epochs: float) -> list[Segment]:
        """Return the parts of the last schedule, which the others only multiply."""
        return self.schedules[-1].segments(epochs)


def _times(rates: Sequence[Rate]) -> Rate:
    *others, last = rates

    def rate(t: float) -> float:
        lr = last(t)
        for each in others:
            lr *= each(t)
        return lr

    return rate
