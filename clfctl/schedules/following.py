"""What kinds that go by results have in common: they look once an epoch at its metric, or at losses of batches."""

from abc import abstractmethod
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Annotated, Any, Literal, Self

from clfctl.errors import UsageError
from clfctl.schedules.base import Bound, Kind, Rate, Span, steady
from clfctl.schedules.durations import DURATIONS, parse_duration
from clfctl.schedules.parameters import Param
from clfctl.schedules.rates import Deciding
from clfctl.schedules.recorded import TOLERANCE, Window, looks, next_multiple, refuse_too_many, windows_of


def read_every(value: Any) -> str:
    """Return how often is looked, as it is written: `200b`, `0.5`. Raises ValueError if it is no length of time."""
    length = parse_duration(value if isinstance(value, str) else repr(value))
    if not length.value:
        raise ValueError(value)
    return str(length)


LookEvery = Annotated[
    str | None,
    Param(
        "Look so often at the mean training loss since the last look, inside epochs too, not at the metric of each "
        "epoch; patience counts looks then.",
        option="plateau_every",
        read=read_every,
        accepts=f"{DURATIONS}, more than 0",
    ),
]
AutoMode = Literal["auto", "min", "max"]


class Following(Bound, Kind):
    """A kind that folds over what it sees: `_folded` yields the rate before anything is seen, and after each look.

    With `every` it looks at the training loss after so many batches or epochs of its own, `between` epochs apart; else
    at the monitored metric of each epoch.
    """

    follows_metrics = True

    @property
    @abstractmethod
    def every(self) -> str | None:
        """How often it looks at the training loss; None: at the metric of each epoch."""

    @property
    @abstractmethod
    def patience(self) -> int:
        """Looks that it waits for."""

    @property
    @abstractmethod
    def mode(self) -> AutoMode:
        """Whether a smaller or a larger metric is better; auto: not known yet."""

    @property
    @abstractmethod
    def between(self) -> float:
        """Epochs between two looks at the training loss; 0: not fitted yet."""

    @abstractmethod
    def _folded(self, seen: Iterable[Window], base_lr: float) -> Iterator[float]:
        """Yield the rate before anything is seen, and after each look; the metric of an epoch is a window of one."""

    def __post_init__(self) -> None:
        """Raise UsageError for a parameter out of its limits, and for a training loss of which more is better."""
        super().__post_init__()
        if self.every and self.mode == "max":
            what = f"{self.name} looks at the training loss every {self.every}, and of that less is better"
            raise UsageError(what, "leave out mode=max, or every=")

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time: without `every` the same for the whole of the next epoch."""
        if not self.every:
            return steady(deque(self._folded(_points(metrics), base_lr), maxlen=1)[0])
        seen = list(looks(windows_of(metrics), self._between()))
        return _SteadyBetween([each.end for each in seen], list(self._folded(seen, base_lr)))

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        rate = self.given(metrics, base_lr) if self.every else steady(base_lr)
        if not self.every:
            for lr in self._folded(_points(metrics), base_lr):
                rate = steady(lr)
                yield rate
        yield from repeat(rate)

    def next_look(self, t: float, metrics: Sequence[float] = ()) -> float:
        """Return the first time after `t` at which it looks at what batches showed."""
        return next_multiple(t, self._between()) if self.every else super().next_look(t, metrics)

    def fitted(self, span: Span) -> Self:
        """Return the schedule with the direction of what it sees, and the epochs between two looks."""
        if self.every:
            between = _in_whole_batches(self.every, span)
            refuse_too_many(self.name, span.epochs, between)
            return self._with(mode="min", between=between)
        return self._with(mode=span.mode) if self.mode == "auto" else self

    def _between(self) -> float:
        """Return the epochs between two looks; raises UsageError if they are not known."""
        if not self.between:
            hint = f"fit it: {type(self).__name__}(every={self.every!r}).fitted(Span(epochs=25, steps_per_epoch=100))"
            raise UsageError(f"it is not known how much of an epoch {self.every} is", hint)
        return self.between

    def _with(self, **changes: object) -> Self:
        return replace(self, **changes)  # type: ignore[type-var]  # every kind is a dataclass


class _SteadyBetween(Deciding):
    """A rate that changes at times only: there is one more of them than of the times."""

    def __init__(self, times: Sequence[float], rates: Sequence[float]) -> None:
        self.times, self.rates = times, rates

    def __call__(self, t: float) -> float:
        return self.rates[bisect_right(self.times, t + TOLERANCE)]

    def within(self, start: float, last: float) -> Rate:
        """Return the rate, where it is the same one all the time."""
        first = bisect_right(self.times, start + TOLERANCE)
        return steady(self.rates[first]) if first == bisect_right(self.times, last + TOLERANCE) else self


def better(value: float, best: float, mode: AutoMode, threshold: float, threshold_mode: Literal["rel", "abs"]) -> bool:
    """Return whether a value beats the best by more than the threshold, as torch's ReduceLROnPlateau compares them."""
    sign = 1 if mode == "max" else -1
    bar = best * (1 + sign * threshold) if threshold_mode == "rel" else best + sign * threshold
    return value > bar if mode == "max" else value < bar


def _points(metrics: Sequence[float]) -> Iterator[Window]:
    return (Window(epoch, epoch + 1, 1, metric, 0.0) for epoch, metric in enumerate(metrics))


def _in_whole_batches(every: str, span: Span) -> float:
    """Return how often is looked in epochs: after whole batches, at least one, where it is known how many there are."""
    epochs = parse_duration(every).epochs(span)
    n = span.steps_per_epoch
    return max(1, round(epochs * n)) / n if n else epochs
