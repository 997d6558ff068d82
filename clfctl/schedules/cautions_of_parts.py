"""Parts of a schedule that most likely do not do what was meant: too long, too short, or upside down."""

import math
from collections.abc import Iterator
from typing import Any

from clfctl.schedules.base import TOLERANCE, Schedule, Segment
from clfctl.schedules.by_name import ByName
from clfctl.schedules.compose import Chain, Restart, Scaled, Warmup
from clfctl.schedules.cooldown import Cooldown, lowest_rate
from clfctl.schedules.course import NOTHING, Course, inside, unwrapped
from clfctl.schedules.curves import Cosine, CosineRestarts, Curve, Linear, OneCycle
from clfctl.schedules.decays import MultiStep, Step
from clfctl.schedules.following import Following
from clfctl.schedules.greedy import Greedy
from clfctl.schedules.plateau import Plateau
from clfctl.schedules.together import Late, Product

# So many times as long as the training: most likely batches, as other libraries count.
IN_BATCHES = 10
TOO_LOW = 1.1
# Share of the fall that a part may lack before its lowest rate counts as never reached.
FAR = 0.2
# Arguments of torch's and timm's classes that are lengths, in units of a step.
LENGTHS = ("T_max", "T_0", "total_steps", "total_iters", "step_size", "step_size_up", "t_initial", "decay_t")


def of_warmup(course: Course) -> Iterator[str]:
    """Yield what is wrong with the length of the warmup."""
    warmup = unwrapped(course.schedule)
    if not isinstance(warmup, Warmup) or course.is_past(warmup.epochs):
        return
    if warmup.epochs >= course.epochs:
        never = (
            f"warmup takes {warmup.epochs:g} epochs and training has {course.epochs}: the base learning rate is never"
        )
        highest = course.ends[-1]
        times = course.base_lr / highest if highest else 0.0
        much = f", the highest is {highest:.3g}, {times:.3g} times lower" if times >= TOO_LOW else ""
        yield f"{never} reached{much}"
    elif warmup.epochs > course.epochs / 2:
        yield (
            f"warmup takes {warmup.epochs:.3g} of {course.epochs} epochs: "
            "for more than half of the training the rate is below the base"
        )


def of_chain(course: Course) -> Iterator[str]:
    """Yield what is wrong with the lengths of a chain's parts."""
    start, chain = inside(course.schedule)
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


def climbs(segment: Segment) -> bool:
    """Return whether a part is a cosine that is longer than its half wave."""
    match segment.schedule:
        case Cosine(t_max=t_max, every=every):
            return segment.end - segment.start > t_max + (every == "epoch") + TOLERANCE
    return False


def of_segment(course: Course, segment: Segment) -> Iterator[str]:
    """Yield what is wrong with one part."""
    own = segment.end - segment.start
    if own <= 0:  # the warmup takes it all
        return
    if batches := _in_batches(course, segment.schedule, own):
        yield batches
        return
    match segment.schedule:
        case Cosine(t_max=t_max) if climbs(segment):
            yield (
                f"cosine reaches its lowest rate after {t_max:g} of {own:g} epochs: the learning rate climbs again; "
                "leave out `t_max=` to end with the training"
            )
        case Step(step_size=size) if size >= own and not course.is_usual:
            yield f"step changes every {size} epochs and has {own:g}: it never acts; use a smaller `step_size=`"
        case MultiStep(milestones=milestones) if min(milestones, default=own) >= own:
            yield f"the first milestone is epoch {min(milestones):g} and multistep has {own:g}: it never acts"
        case CosineRestarts(t_0=t_0) if t_0 >= own:
            yield f"the first cosine takes {t_0:g} epochs and cosine-restarts has {own:g}: it never restarts"
        case OneCycle(t_max=t_max) if abs(t_max - own) >= 1:
            what = "it stays at its lowest rate" if t_max < own else "it is cut off before it has come down"
            yield f"onecycle is {t_max:g} epochs long and has {own:g}: {what}; leave out `t_max=` to fit it"
        case Following() as follows:
            yield from _of_looks(course, follows, own)
        case ByName(follows_metrics=True) as by_name:
            yield from _of_direction(course, by_name.name, str(dict(by_name.arguments).get("mode", course.mode)))
    yield from _of_lowest(course, segment)


def _in_batches(course: Course, schedule: Schedule | None, own: float) -> str:
    """Return what to say of a length in epochs where batches were meant, as other libraries count; else nothing."""
    match schedule:
        case Curve(t_max=length):
            name = "t_max"
        case Step(step_size=length):
            name = "step_size"
        case CosineRestarts(t_0=length):
            name = "t_0"
        case MultiStep(milestones=(_, *_) as milestones):
            name, length = "milestones", min(milestones)
        case ByName(every="epoch", arguments=arguments):
            return _in_batches_by_name(schedule.name, dict(arguments), own)
        case _:
            return ""
    n = course.steps_per_epoch or 0
    if length <= 1:  # also what a curve is fitted to where a warmup leaves less
        return ""
    if length < IN_BATCHES * own and not (n > 1 and length > own and length == own * n):
        return ""
    what = f"`{name}={length:g}` counts epochs, and {schedule.name} has {own:g}"
    as_batches = f"; as batches it would be {length / n:.4g} epochs" if n else ""
    return f"{what}: most likely batches are meant, and the rate hardly changes{as_batches}"


def _in_batches_by_name(name: str, arguments: dict[str, Any], own: float) -> str:
    for argument in LENGTHS:
        length = arguments.get(argument)
        if isinstance(length, int | float) and length >= IN_BATCHES * own:
            what = f"{argument} of {name} is {length:g}, and it is stepped once an epoch, {own:g} times"
            return f"{what}: add every=batch if batches are meant"
    return ""


def of_restarts(course: Course) -> Iterator[str]:
    """Yield where a cosine would begin again before the warmup has ended."""
    start, schedule = inside(course.schedule)
    parts: list[Schedule] = [part for part, _ in schedule.schedules] if isinstance(schedule, Chain) else [schedule]
    for part in map(_plain, parts):
        match part:
            case CosineRestarts(t_0=t_0) if 0 < t_0 <= start:
                yield f"warmup takes {start:g} epochs and the first cosine {t_0:g}: it rises for longer than it falls"
            case Late(inner=CosineRestarts(t_0=t_0), by=by) if isinstance(by, float | int) and t_0 <= by:
                yield f"cosine-restarts begins {by:g} epochs late and restarts after {t_0:g}: a restart is left out"
            case Product(schedules=(Linear(start=low, t_max=rise), *_, CosineRestarts(t_0=t_0))) if (
                low < 1 and t_0 < rise
            ):
                yield f"cosine-restarts restarts after {t_0:g} epochs, inside the rise over {rise:g}"
            case ByName(arguments=arguments):
                t_0, rise = (dict(arguments).get(each, 0) for each in ("t_initial", "warmup_t"))
                if isinstance(t_0, int | float) and isinstance(rise, int | float) and 0 < t_0 <= rise:
                    yield f"warmup_t of {part.name} is {rise:g} and t_initial {t_0:g}: a restart falls into the warmup"


def _plain(part: Schedule) -> Schedule:
    return _plain(part.inner) if isinstance(part, Scaled | Restart) else part


def _of_direction(course: Course, name: str, mode: str) -> Iterator[str]:
    if mode in ("min", "max") and mode != course.mode:
        better = {"min": "smaller", "max": "larger"}
        yield (
            f"{name} takes a {better[mode]} metric for the better one (mode={mode}), and of the monitored one "
            f"a {better[course.mode]} is better: it acts while the training improves"
        )


def _of_looks(course: Course, follows: Following, own: float) -> Iterator[str]:
    """Check one that acts after so many looks: the first of them is the best, or there is none yet."""
    name, patience = follows.name, follows.patience
    if follows.every:
        if follows.between and (patience + 1) * follows.between >= own:
            needed = f"{patience + 1} looks, one every {follows.every}"
            yield f"{name} needs more than {needed}, and has {own:.4g} epochs: it never acts"
        return
    yield from _of_direction(course, name, follows.mode)
    if course.early_stopping and isinstance(follows, Plateau) and patience + 1 >= course.early_stopping:
        yield (
            f"{name} waits for more than {patience} epochs without improvement "
            f"and early stopping ends training after {course.early_stopping}: {name} can never act"
        )
    elif patience + 2 >= own:
        # The first epoch is the best so far, so that what waits for good ones acts an epoch before what waits for bad.
        rises = isinstance(follows, Greedy) and patience + 1 < own
        what = "it can only raise the learning rate" if rises else "it never acts"
        yield f"{name} waits for more than {patience} epochs after the best and has {own:g}: {what}"


def _of_lowest(course: Course, segment: Segment) -> Iterator[str]:
    lowest = lowest_rate(segment.schedule) if segment.schedule else 0.0
    if not lowest:
        return
    # A part of a chain may begin below the base; what another multiplies rises to its beginning.
    rises = isinstance(inside(course.schedule)[1], Product)
    begins = course.base_lr if rises else course.schedule.given((), course.base_lr)(segment.start)
    if lowest >= begins * (1 - NOTHING):
        where = "the base is" if begins >= course.base_lr * (1 - NOTHING) else "it begins at"
        yield f"the lowest learning rate of {segment.label} is {lowest:g} and {where} {begins:.6g}: it does not fall"
    elif segment.schedule and not segment.schedule.follows_metrics:
        yield from _of_unreached(course, segment, lowest, begins)


def _of_unreached(course: Course, segment: Segment, lowest: float, begins: float) -> Iterator[str]:
    """Yield a lowest rate that a part was given and does not come near to."""
    first, last = math.ceil(segment.start), min(course.epochs, math.ceil(segment.end)) - 1
    if course.stride > 1 or last < first:
        return
    reached = min(*course.starts[first : last + 1], *course.ends[first : last + 1], begins)
    if reached > lowest + FAR * (begins - lowest):
        yield (
            f"the lowest learning rate of {segment.label} is {lowest:g} and it comes down to {reached:.3g}: "
            "what was stated is never reached"
        )


def of_cooldown(course: Course) -> Iterator[str]:
    """Yield what is wrong with the cooldown."""
    match course.schedule:
        case Cooldown(eta_min=lowest) if lowest >= course.base_lr:
            yield f"the cooldown ends at {lowest:g} and the base is {course.base_lr:g}: the learning rate does not fall"
