"""A fitted schedule written as an expression again, as far as it was trained: the beginning of a longer one."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from clfctl.schedules.base import TOLERANCE, Kind, Schedule
from clfctl.schedules.calls import Call
from clfctl.schedules.compose import Chain, Restart, Scaled
from clfctl.schedules.decays import Constant
from clfctl.schedules.durations import in_digits
from clfctl.schedules.expression import Expression
from clfctl.schedules.own import Own
from clfctl.schedules.parameters import parameters_of
from clfctl.schedules.together import Late, Product

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


def times(factor: float, part: str) -> str:
    """Return a part of an expression at a factor."""
    return part if factor == 1 else f"{in_digits(factor)}*{part}"


def _written_part(call: Call, schedule: Schedule) -> str:
    while isinstance(schedule, Restart | Scaled):
        schedule = schedule.inner
    factors = schedule.schedules if isinstance(schedule, Product) else (schedule,)
    written = " * ".join(map(_written_call, (*call.times, call), factors))
    return times(call.factor, written)


def _written_call(call: Call, schedule: Schedule) -> str:
    late = ""
    match schedule:
        case Late(inner=inner, by=float() | int() as by):
            schedule, late = inner, f"@{in_digits(by)}"
    name, arguments = f"{call.library}:{call.name}" if call.library else call.name, dict(call.arguments)
    if isinstance(schedule, Own):
        arguments |= schedule.parameters()
    elif isinstance(schedule, Kind) and not call.library:
        found = {each: getattr(schedule, each.name) for each in parameters_of(type(schedule))}
        arguments = {each.name: value for each, value in found.items() if value != each.default}
    return with_arguments(name, arguments) + late


def with_arguments(name: str, arguments: Mapping[str, Any]) -> str:
    """Return a call as an expression has it: `step(step_size=3,gamma=0.7)`, the name alone without arguments."""
    stated = ",".join(f"{each}={_written(value)}" for each, value in arguments.items())
    return f"{name}({stated})" if stated else name


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
