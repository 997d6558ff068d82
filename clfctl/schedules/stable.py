"""A warmup that ends when training has settled: by what batches showed, between a shortest and a longest length."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

from clfctl.errors import UsageError
from clfctl.schedules.base import Bound, Rate, Schedule, Segment, Span
from clfctl.schedules.compose import Around, Warmup, WarmupShape
from clfctl.schedules.composed_rates import WarmupRate
from clfctl.schedules.curves import Curve
from clfctl.schedules.durations import Duration, in_digits, parse_duration
from clfctl.schedules.recorded import TOLERANCE, Window, looks, next_multiple, refuse_too_many, windows_of

STABLE = "auto:stable"
STABLE_WRITTEN = f"{STABLE}(min=1%, max=20%, window=20b, tolerance=0.1)"
SHORTEST, LONGEST = Duration(1, "percent"), Duration(20, "percent")
# A window where none is stated: so many batches, but so small a share of the longest warmup that several fit.
WINDOW, MOST_OF_WARMUP = Duration(20, "batches"), 0.25
_WRITTEN = re.compile(rf"{STABLE}\s*(?:\((?P<inside>[^()]*)\)\s*)?")


@dataclass(frozen=True)
class Stable:
    """A warmup that ends when training has settled, as it is written: `auto:stable(min=1%, max=20%)`."""

    min: Duration = SHORTEST
    max: Duration = LONGEST
    window: Duration | None = None
    tolerance: float = 0.1

    def __str__(self) -> str:
        """Return it as it is written, what is not its default alone."""
        stated = [each for each in fields(self) if getattr(self, each.name) != each.default]
        inside = ", ".join(f"{each.name}={_plain(getattr(self, each.name))}" for each in stated)
        return f"{STABLE}({inside})" if inside else STABLE


def parse_stable(text: str) -> Stable | None:
    """Return what `auto:stable(…)` says, None for another text. Raises ValueError where what is inside is not right."""
    if not text.strip().startswith(STABLE):
        return None
    found = _WRITTEN.fullmatch(text.strip())
    if not found:
        raise ValueError(text)
    values: dict[str, Duration | float] = {}
    for each in filter(str.strip, (found["inside"] or "").split(",")):
        name, equals, value = (part.strip() for part in each.partition("="))
        if not equals or name not in Stable.__dataclass_fields__ or name in values:
            raise ValueError(text)
        values[name] = float(value) if name == "tolerance" else parse_duration(value)
        if not 0 < (values[name] if name == "tolerance" else parse_duration(value).value) < math.inf:  # type: ignore[operator]
            raise ValueError(text)
    return Stable(**values)  # type: ignore[arg-type]  # each is of its own type


@dataclass(frozen=True)
class Rise(Warmup):
    """A warmup to the rate that `first` begins with: as slow as one of `slow` epochs until `settled`, then as `fast`.

    It ends when it is at the top, after `epochs`.
    """

    first: Schedule | None = None
    settled: float = math.inf
    slow: float = 1.0
    fast: float = 1.0

    def share(self, t: float) -> float:
        """Return how much of the warmup is over at `t`."""
        if t <= self.settled:
            return t / self.slow
        return self.settled / self.slow + (t - self.settled) / self.fast

    def _before(self, after: Rate, top: float) -> Rate:
        return _RiseRate(self, top, self._factor, after)

    def _top(self, base_lr: float) -> float:
        return (self.first or self.inner).given((), base_lr)(0.0)


class _RiseRate(WarmupRate):
    """A rise of two slopes, and the rate after it."""

    def __init__(self, rise: Rise, top: float, factor: Callable[[float], float], after: Rate) -> None:
        super().__init__(rise.epochs, top, factor, after)
        self.share = rise.share

    def __call__(self, t: float) -> float:
        """Return the rate at `t` epochs."""
        if t < self.epochs - TOLERANCE:
            return self.top * self.factor(self.share(t))
        return super().__call__(t)


@dataclass(frozen=True)
class StableWarmup(Bound):
    """A warmup before `inner` that rises as one of `longest` epochs does, until loss and gradient norm have settled.

    They have when the means of a window of `window` epochs differ from those of the window before by no more than
    `tolerance` of them, both. From there it rises as steeply as one of `shortest` epochs, and ends at the top: so it
    is never shorter than that, never longer than `longest`, and without a jump. `inner`, not fitted, begins there as
    after a warmup whose length was known: fitted to what is left of `span`, with `t_max` shortened where `inside`.
    """

    name = "warmup"
    follows_metrics = True

    inner: Schedule
    span: Span
    shortest: float
    longest: float
    window: float
    tolerance: float
    start: float = 0.0
    shape: WarmupShape = "linear"
    inside: bool = True
    seen_as: Callable[[Schedule], Schedule] | None = None
    """What stands for the schedule inside where something else follows it, such as the momentum that it moves."""

    def decided(self, metrics: Sequence[float] = ()) -> Rise:
        """Return the warmup as it has ended, or the longest, which it is as far as is recorded."""
        return self.settled_at(self._settled(windows_of(metrics)))

    def settled_at(self, settled: float | None) -> Rise:
        """Return the warmup that it is if training has settled at a time, None: never."""
        end = self.longest if settled is None else settled + (1 - settled / self.longest) * self.shortest
        last, inner = self._after(self.longest), self._after(end)
        slow, fast = self.longest, self.shortest
        return Rise(inner, end, self.start, self.shape, last, math.inf if settled is None else settled, slow, fast)

    def earliest(self) -> Rise:
        """Return the shortest warmup that it can be: two windows are needed to tell."""
        settled = 2 * self.window
        return self.settled_at(settled if settled < self.longest - TOLERANCE else None)

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time."""
        return self.decided(metrics).given(metrics, base_lr)

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        return self.decided(metrics).by_epoch(metrics, base_lr)

    def next_look(self, t: float, metrics: Sequence[float] = ()) -> float:
        """Return when the next window ends, until training has settled; then when the schedule inside looks."""
        decided, look = self.decided(metrics), next_multiple(t, self.window) if self.window else math.inf
        return (
            look if decided.settled == math.inf and look < self.longest - TOLERANCE else decided.next_look(t, metrics)
        )

    def fitted(self, span: Span) -> Self:  # noqa: ARG002 (what is inside is fitted when its beginning is known)
        """Return the warmup as it is."""
        return self

    def segments(self, epochs: float) -> list[Segment]:
        """Return the longest warmup and what follows."""
        return self.decided().segments(epochs)

    def _after(self, warmup: float) -> Schedule:
        """Return the schedule inside as it is after a warmup of that length."""
        left = replace(self.span, epochs=max(1.0, self.span.epochs - warmup), warmup=warmup)
        inner = begun_after(self.inner, left, inside=self.inside)
        return self.seen_as(inner) if self.seen_as else inner

    def _settled(self, windows: Iterable[Window]) -> float | None:
        """Return when training has settled, None: not yet, or too late to matter."""
        before: Window | None = None
        for look in looks(windows, self.window) if self.window else ():
            if look.end >= self.longest - TOLERANCE:
                return None
            if before and self._is_like(look.loss, before.loss) and self._is_like(look.norm, before.norm):
                return look.end
            before = look
        return None

    def _is_like(self, value: float, before: float) -> bool:
        return abs(value - before) <= self.tolerance * abs(before)


def stable_warmup(
    stable: Stable, inner: Schedule, span: Span, *, start: float, shape: WarmupShape, inside: bool
) -> StableWarmup:
    """Return the warmup before a schedule that is not fitted. Raises UsageError if its shortest is not the shorter."""
    shortest, longest = stable.min.epochs(span), stable.max.epochs(span)
    if shortest > longest:
        what = f"the shortest warmup, {stable.min}, is longer than the longest, {stable.max}"
        raise UsageError(what, f"write {STABLE}(min=…, max=…) with a smaller min", field="warmup")
    n = span.steps_per_epoch
    window = 0.0
    if stable.window:
        window = stable.window.epochs(span)
    elif n:
        window = min(WINDOW.epochs(span), longest * MOST_OF_WARMUP)
    window = max(1, round(window * n)) / n if n else window
    refuse_too_many("the warmup", longest, window)
    if not inside:
        span = replace(span, epochs=span.epochs + math.ceil(longest))
    return StableWarmup(inner, span, shortest, longest, window, stable.tolerance, start, shape, inside)


def begun_after(schedule: Schedule, left: Span, *, inside: bool) -> Schedule:
    """Return a schedule fitted to what is left of a training after its warmup; `t_max` is shortened where `inside`."""
    if isinstance(schedule, Curve) and inside and schedule.t_max > left.warmup:
        schedule = schedule.of_length(schedule.t_max - left.warmup)
    return schedule.fitted(left)


def with_known_warmup(schedule: Schedule, metrics: Sequence[float]) -> Schedule:
    """Return a schedule in which a warmup that was to end when training has settled is as long as it was."""
    if isinstance(schedule, Around):
        return replace(schedule, inner=with_known_warmup(schedule.inner, metrics))
    return schedule.decided(metrics) if isinstance(schedule, StableWarmup) else schedule


def stable_in(schedule: Schedule) -> StableWarmup | None:
    """Return the warmup of a schedule that ends when training has settled, None without one."""
    while isinstance(schedule, Around):
        schedule = schedule.inner
    return schedule if isinstance(schedule, StableWarmup) else None


def _plain(value: Duration | float) -> str:
    return in_digits(value) if isinstance(value, float) else str(value)
