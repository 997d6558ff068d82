"""Curves that are most likely a mistake, each with its reason: pure checks of a schedule against its training."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from clfctl.errors import UsageError
from clfctl.schedules.averaging import Average, averages_from
from clfctl.schedules.base import Schedule, Segment
from clfctl.schedules.compose import Chain, Warmup
from clfctl.schedules.cooldown import Cooldown, lowest_rate
from clfctl.schedules.curves import Cosine, CosineRestarts, OneCycle
from clfctl.schedules.decays import MultiStep, Step
from clfctl.schedules.plateau import Plateau

NOTHING = 1e-12
"""Share of the base learning rate below which nothing is learned."""
GIVEN_RATE = f"{Average.name}(rate=1e-5)"
EXTREME = "parameters of the schedule, or the base rate, are too small or too large"
MAX_EPOCHS_SAMPLED = 2000


@dataclass(frozen=True)
class Course:
    """A schedule, and the training that it is for, of which some epochs may be `trained` already."""

    schedule: Schedule
    base_lr: float
    epochs: int
    early_stopping: int = 0
    trained: float = 0.0


def cautions(course: Course) -> list[str]:
    """Return a sentence for each thing about the curve that is most likely a mistake.

    Raises UsageError for a curve that has no number where one was computed: parameters may be too small or too large.
    """
    try:
        return _found(course)
    except ArithmeticError as error:
        raise UsageError(f"the learning rate of {course.schedule.name} cannot be computed: {error}", EXTREME) from None


def _found(course: Course) -> list[str]:
    found = [*_of_warmup(course), *_of_chain(course), *_of_cooldown(course)]
    for segment in course.schedule.segments(course.epochs):
        if not course.trained or segment.end > course.trained:
            found += _of_segment(course, segment)
    return [*found, *_of_rates(course)]


def _of_warmup(course: Course) -> Iterator[str]:
    warmup = _unwrapped(course.schedule)
    if isinstance(warmup, Warmup) and warmup.epochs >= course.epochs:
        yield (
            f"warmup takes {warmup.epochs:g} epochs and training has {course.epochs}: "
            "the base learning rate is never reached"
        )


def _of_chain(course: Course) -> Iterator[str]:
    start, chain = _inside(course.schedule)
    if not isinstance(chain, Chain):
        return
    for seam, (schedule, _) in zip(chain.seams(), chain.schedules[1:], strict=True):
        if start + seam >= course.epochs:
            yield (
                f"the part {schedule.name} would begin after epoch {start + seam:g} "
                f"and training has {course.epochs}: it never acts"
            )
    *_, (_, length) = chain.schedules
    end = start + sum(chain.seams()[-1:]) + (length if isinstance(length, float | int) else course.epochs)
    if end < course.epochs:
        yield f"the last part ends after epoch {end:g} of {course.epochs}: the learning rate stays where it is then"


def _of_segment(course: Course, segment: Segment) -> Iterator[str]:
    own = segment.end - segment.start
    match segment.schedule:
        case Cosine(t_max=t_max, every=every) if own > t_max + (every == "epoch"):
            yield (
                f"cosine reaches its lowest rate after {t_max:g} of {own:g} epochs: the learning rate climbs again; "
                "leave out `t_max=` to end with the training"
            )
        case Step(step_size=size) if size >= own:
            yield f"step changes every {size} epochs and has {own:g}: it never acts; use a smaller `step_size=`"
        case MultiStep(milestones=milestones) if min(milestones, default=own) >= own:
            yield f"the first milestone is epoch {min(milestones):g} and multistep has {own:g}: it never acts"
        case CosineRestarts(t_0=t_0) if t_0 >= own:
            yield f"the first cosine takes {t_0:g} epochs and cosine-restarts has {own:g}: it never restarts"
        case OneCycle(t_max=t_max) if abs(t_max - own) >= 1:
            what = "it stays at its lowest rate" if t_max < own else "it is cut off before it has come down"
            yield f"onecycle is {t_max:g} epochs long and has {own:g}: {what}; leave out `t_max=` to fit it"
        case Plateau() as plateau:
            yield from _of_plateau(course, plateau, own)
    yield from _of_lowest(course, segment)


def _of_plateau(course: Course, plateau: Plateau, own: float) -> Iterator[str]:
    if course.early_stopping and plateau.patience + 1 >= course.early_stopping:
        yield (
            f"plateau waits for more than {plateau.patience} epochs without improvement "
            f"and early stopping ends training after {course.early_stopping}: plateau can never act"
        )
    elif plateau.patience + 2 >= own:
        yield f"plateau waits for more than {plateau.patience} epochs after the best and has {own:g}: it never acts"


def _of_lowest(course: Course, segment: Segment) -> Iterator[str]:
    lowest = lowest_rate(segment.schedule) if segment.schedule else 0.0
    if not lowest:
        return
    # A part of a chain may begin below the base.
    begins = course.schedule.given((), course.base_lr)(segment.start)
    if lowest >= begins * (1 - NOTHING):
        where = "the base is" if begins >= course.base_lr * (1 - NOTHING) else "it begins at"
        yield f"the lowest learning rate of {segment.label} is {lowest:g} and {where} {begins:.6g}: it does not fall"


def _of_cooldown(course: Course) -> Iterator[str]:
    match course.schedule:
        case Cooldown(eta_min=lowest) if lowest >= course.base_lr:
            yield f"the cooldown ends at {lowest:g} and the base is {course.base_lr:g}: the learning rate does not fall"


def _of_rates(course: Course) -> Iterator[str]:
    """Check the rate of every epoch, as far as it is known without metrics."""
    begin, chain = _inside(course.schedule)
    stride = max(1, course.epochs // MAX_EPOCHS_SAMPLED)
    times = [float(epoch) for epoch in range(0, course.epochs, stride)]
    rate = course.schedule.given((), course.base_lr)
    rates = [rate(max(t, begin)) for t in times]
    if not all(map(math.isfinite, rates)):
        t, rate_there = next((t, rate) for t, rate in zip(times, rates, strict=True) if not math.isfinite(rate))
        raise UsageError(f"the learning rate of epoch {t + 1:g} is {rate_there:g}", EXTREME)
    if (peak := max(rates)) > 1:
        yield f"the learning rate reaches {peak:g}: above 1 most trainings diverge"
    learning = [t for t, rate in zip(times, rates, strict=True) if rate > NOTHING * course.base_lr]
    # A warmup may be 0 at the beginning, and a restart in between.
    nothing_from = max(learning, default=begin - 1) + stride
    if begin <= nothing_from < course.epochs:
        again = "; write >> where it should begin at the base again" if isinstance(chain, Chain) else ""
        if isinstance(chain, Chain) and averages_from(chain, course.epochs) is not None:
            again = f", and the weights that are averaged are all the same; give the part a rate: {GIVEN_RATE}"
        since = f"epoch {nothing_from + 1:g} of {course.epochs}"
        yield f"the learning rate is 0 from {since} on: nothing more is learned{again}"


def _unwrapped(schedule: Schedule) -> Schedule:
    return schedule.inner if isinstance(schedule, Cooldown) else schedule


def _inside(schedule: Schedule) -> tuple[float, Schedule]:
    """Return the length of the warmup, and what comes after it."""
    inner = _unwrapped(schedule)
    return (inner.epochs, inner.inner) if isinstance(inner, Warmup) else (0.0, inner)
