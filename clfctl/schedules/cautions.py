"""Curves that are most likely a mistake, each with its reason: pure checks of a schedule against its training."""

from clfctl.errors import UsageError
from clfctl.schedules.cautions_of_parts import of_chain, of_cooldown, of_restarts, of_segment, of_warmup
from clfctl.schedules.cautions_of_rates import EXTREME, of_rates
from clfctl.schedules.course import Course

__all__ = ["Course", "cautions"]


def cautions(course: Course) -> list[str]:
    """Return a sentence for each thing about the curve that is most likely a mistake.

    Raises UsageError for a curve that has no number where one was computed: parameters may be too small or too large.
    """
    try:
        return _found(course)
    except ArithmeticError as error:
        raise UsageError(f"the learning rate of {course.schedule.name} cannot be computed: {error}", EXTREME) from None


def _found(course: Course) -> list[str]:
    found = [*of_warmup(course), *of_chain(course), *of_restarts(course), *of_cooldown(course)]
    for segment in course.schedule.segments(course.epochs):
        if not course.is_past(segment.end):
            found += of_segment(course, segment)
    return [*found, *of_rates(course)]
