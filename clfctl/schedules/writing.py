"""A fitted schedule written as an expression again, as far as it was trained: the beginning of a longer one."""

import re
from collections.abc import Sequence
from typing import Any

from clfctl.schedules.base import TOLERANCE, Kind, Schedule
from clfctl.schedules.compose import Chain, Restart, Scaled
from clfctl.schedules.decays import Constant
from clfctl.schedules.expression import Call, Expression
from clfctl.schedules.parameters import parameters_of

_WORD = re.compile(r"[\w.+%-]+")


def written_until(expression: Expression, fitted: Schedule, t: float) -> str:
    """Return the expression of what `expression` was fitted to, with all that was left open stated, and ending at `t`.

    `t` is in epochs of the schedule's own clock, above 0. Parts that begin later are left out. Before `t` both
    have the same rates: `cosine` of 25 epochs until 10 is `cosine(t_max=25):10`.
    """
    parts: Sequence[tuple[Schedule, Any]] = fitted.schedules if isinstance(fitted, Chain) else ((fitted, None),)
    text, start = "", 0.0
    for call, (schedule, length) in zip(expression.calls, parts, strict=True):
        left = t - start
        if left <= TOLERANCE:
            break
        own = left if length is None or length > left - TOLERANCE else float(length)
        text += (" >> " if call.restarts else " > ") if text else ""
        text += f"{_written_part(call, schedule)}:{in_digits(own)}"
        start += own
    if t - start > TOLERANCE:  # the last part has a length, after which the rate stays
        text += f" > {Constant.name}:{in_digits(t - start)}"
    return text


def in_digits(number: float) -> str:
    """Return a number as short as it can be read back without a difference: `4`, `0.5`, `2.3333333333333335`."""
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))


def _written_part(call: Call, schedule: Schedule) -> str:
    while isinstance(schedule, Restart | Scaled):
        schedule = schedule.inner
    if call.library or not isinstance(schedule, Kind):
        arguments, name = dict(call.arguments), f"{call.library}:{call.name}" if call.library else call.name
    else:
        known = parameters_of(type(schedule))
        found = {each.name: getattr(schedule, each.name) for each in known}
        arguments, name = {each.name: found[each.name] for each in known if found[each.name] != each.default}, call.name
    stated = ",".join(f"{name}={_written(value)}" for name, value in arguments.items())
    factor = "" if call.factor == 1 else f"{in_digits(call.factor)}*"
    return f"{factor}{name}({stated})" if stated else f"{factor}{name}"


def _written(value: Any) -> str:
    match value:
        case None | bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return in_digits(value)
        case tuple() | list():
            return f"[{','.join(map(_written, value))}]"
    text = str(value)
    return text if _WORD.fullmatch(text) else f"'{text}'" if "'" not in text else f'"{text}"'
