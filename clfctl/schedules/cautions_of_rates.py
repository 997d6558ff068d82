"""Rates that most likely were not meant: too high, none at all, too small for the numbers of a computer, too late."""

import math
import re
from collections.abc import Iterator

from clfctl.errors import UsageError
from clfctl.schedules.averaging import Average, averages_from
from clfctl.schedules.cautions_of_parts import climbs
from clfctl.schedules.compose import Chain
from clfctl.schedules.cooldown import Cooldown
from clfctl.schedules.course import NOTHING, Course, inside

GIVEN_RATE = f"{Average.name}(rate=1e-5)"
EXTREME = "parameters of the schedule, or the base rate, are too small or too large"
# A step of so much is less than half of the distance between two float32 numbers near 0.03, a usual weight.
LOST = 1e-9
# Share of the epochs that may have such rates: a curve that comes down to 0 passes by them.
FEW = 0.05
SAME = 1e-9


def of_rates(course: Course) -> Iterator[str]:
    """Yield what is wrong with the rate of every epoch, as far as it is known without metrics."""
    rates = course.starts
    if not all(map(math.isfinite, rates)):
        t, rate = next((t, rate) for t, rate in zip(course.times, rates, strict=True) if not math.isfinite(rate))
        raise UsageError(f"the learning rate of epoch {t + 1:g} is {rate:g}", EXTREME)
    ahead = (rate for t, rate in zip(course.times, rates, strict=True) if not course.is_past(t + course.stride))
    if (peak := max(ahead, default=0.0)) > 1:
        yield f"the learning rate reaches {peak:g}: above 1 most trainings diverge"
    yield from _nothing(course)
    yield from _lost(course)
    yield from _too_late(course)
    yield from _schedule_free(course)


def _nothing(course: Course) -> Iterator[str]:
    """Yield epochs without a rate."""
    chain, least = inside(course.schedule)[1], NOTHING * course.base_lr
    learning = [t for t, rate in zip(course.times, course.starts, strict=True) if rate > least]
    # A warmup may be 0 at the beginning, and a restart in between.
    nothing_from = max(learning, default=course.begin - 1) + course.stride
    if course.begin <= nothing_from < course.epochs:
        again = "; write >> where it should begin at the base again" if isinstance(chain, Chain) else ""
        if isinstance(chain, Chain) and averages_from(chain, course.epochs) is not None:
            again = f", and the weights that are averaged are all the same; give the part a rate: {GIVEN_RATE}"
        since = f"epoch {nothing_from + 1:g} of {course.epochs}"
        yield f"the learning rate is 0 from {since} on: nothing more is learned{again}"
    if any(map(climbs, course.schedule.segments(course.epochs))):
        return  # it touches 0 on its way, and that it climbs again is said
    first, rates = max(course.begin, course.trained), zip(course.times, course.starts, course.ends, strict=True)
    empty = [t for t, start, end in rates if max(start, end) <= least and first <= t < nothing_from]
    if empty:
        which = f"epoch {empty[0] + 1:g}" + (f" and {len(empty) - 1} more" if len(empty) > 1 else "")
        yield f"the learning rate is 0 throughout {which}: nothing is learned there; let the curve move at every batch"


def _lost(course: Course) -> Iterator[str]:
    """Yield rates that are above 0 and move no weight."""
    least = NOTHING * course.base_lr
    highest = [max(pair) for pair in zip(course.starts, course.ends, strict=True)]
    lost = [t for t, rate in zip(course.times, highest, strict=True) if least < rate < LOST and t >= course.trained]
    if lost and len(lost) >= FEW * len(course.times):
        n = len(lost) * course.stride
        since = f"in {n} of {course.epochs} epochs, from epoch {lost[0] + 1:g}"
        yield f"the learning rate is below {LOST:g} {since}: such small steps are rounded away in float32 weights"


def _too_late(course: Course) -> Iterator[str]:
    """Yield an early stopping that fires before the rate has fallen at all, and so before that could have helped."""
    if (
        not course.early_stopping
        or isinstance(course.schedule, Cooldown)
        or course.schedule.follows_metrics
        or course.trained
    ):
        return
    peak = 0.0
    for t, start, end in zip(course.times, course.starts, course.ends, strict=True):
        if t < course.begin:  # it rises
            continue
        if min(start, end) < peak * (1 - SAME):
            # At the earliest after the epochs that it waits, which follow the best one.
            if course.early_stopping + 1 <= t:
                yield (
                    f"early stopping ends training after {course.early_stopping} epochs without improvement and the "
                    f"learning rate first falls in epoch {t + 1:g}: it may end before that has helped; "
                    "add `cooldown=`, or use a larger `early_stopping=`"
                )
            return
        peak = max(peak, start, end)


def _schedule_free(course: Course) -> Iterator[str]:
    """Yield a fall in front of an optimizer that averages its steps, weighted by their rates, instead of one."""
    if "schedulefree" not in re.sub(r"[\W_]", "", course.optimizer.lower()):
        return
    highest = max(*course.starts, *course.ends, 0.0)
    if course.schedule.follows_metrics or min(course.ends[-1], course.starts[-1]) < highest * 0.99:
        yield (
            f"{course.optimizer} is schedule-free: it averages its steps by their rates, and what falls stops it; "
            "use `scheduler=constant` with a warmup"
        )
