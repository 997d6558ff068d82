"""The parameters of a schedule: type, limits, default and help, declared once, next to the formula that uses them."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import annotated_types

from clfctl.errors import UsageError

Unit = Literal["", "epochs", "rate"]
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
LIMITS = {
    annotated_types.Gt: ("greater than", "gt"),
    annotated_types.Ge: ("at least", "ge"),
    annotated_types.Lt: ("less than", "lt"),
    annotated_types.Le: ("at most", "le"),
}


@dataclass(frozen=True)
class Param:
    """The mark of a parameter: its help, and the command-line option that sets it where that has another name.

    An empty `option` means that only an expression sets it. `older` is another option that once set it, and still does
    where it is stated together with the kind. `read` returns what is kept of a value that is not one of the plain
    types, or raises ValueError; `accepts` says in words what it takes. `unit` is what a number counts: epochs, or a
    learning rate; empty: nothing, as a factor.
    """

    help: str
    option: str | None = None
    older: str = ""
    read: Callable[[Any], Any] | None = None
    accepts: str = ""
    unit: Unit = ""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kind of schedule."""

    name: str
    type: Any
    limits: tuple[Any, ...]
    default: Any
    help: str
    option: str
    older: str = ""
    read: Callable[[Any], Any] | None = None
    words: str = ""
    unit: Unit = ""

    @property
    def accepts(self) -> str:
        """What it may be, in words."""
        return self.words or in_words(self.type, self.limits)


@cache
def parameters_of(kind: Any) -> tuple[Parameter, ...]:
    """Return the parameters of a kind in their order."""
    found = []
    annotations = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        if get_origin(annotations[field.name]) is not Annotated:
            continue
        plain, *marks = get_args(annotations[field.name])
        mark = next(each for each in marks if isinstance(each, Param))
        limits = tuple(each for each in marks if not isinstance(each, Param))
        option = field.name if mark.option is None else mark.option
        of_mark = mark.help, option, mark.older, mark.read, mark.accepts, mark.unit
        found.append(Parameter(field.name, plain, limits, field.default, *of_mark))
    return tuple(found)


def check_parameters(schedule: Any) -> None:
    """Raise UsageError if a parameter of a schedule has a value of the wrong type or out of its limits."""
    for parameter in parameters_of(cast(Any, type(schedule))):
        value = getattr(schedule, parameter.name)
        try:
            fit_value(value, parameter)
        except ValueError:
            what = f"{parameter.name} of {schedule.name}"
            raise UsageError(f"{what} is {value!r}; it must be {parameter.accepts}") from None


def fit_value(value: Any, parameter: Parameter) -> Any:
    """Return `value` as the type of the parameter; raises ValueError if it has another type or is out of the limits."""
    kind = parameter.type
    if value is None and NoneType in get_args(kind):
        return None
    if parameter.read:
        return parameter.read(value)
    kind = plain_type(kind)
    if get_origin(kind) is Literal:
        return _checked(value, value in get_args(kind))
    if get_origin(kind) is tuple:
        values = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        return tuple(_number(each, float, parameter.limits) for each in values)
    if kind in (bool, str):
        return _checked(value, isinstance(value, kind))
    return _number(value, kind, parameter.limits)


def in_words(kind: Any, limits: Sequence[Any]) -> str:
    """Return what a type with limits accepts: `a number greater than 0`, `one of min, max`."""
    kind = plain_type(kind)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(kind))
    bounds = [
        f"{words} {getattr(each, name)}"
        for each in limits
        for words, name in [LIMITS.get(type(each), ("", ""))]
        if name
    ]
    if get_origin(kind) is tuple:
        return f"numbers {' and '.join(bounds)}".rstrip() + ", such as 30,60"
    return f"{WORDS.get(kind, 'text')} {' and '.join(bounds)}".rstrip()


def plain_type(annotation: Any) -> Any:
    """Return the type without `| None` and without marks."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(arg for arg in get_args(annotation) if arg is not NoneType)
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _number(value: Any, kind: Any, limits: Sequence[Any]) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    _checked(value, is_number and (kind is float or float(value).is_integer()))
    number = kind(value)
    for limit in limits:
        match limit:
            case annotated_types.Gt(gt=bound):
                _checked(value, number > bound)
            case annotated_types.Ge(ge=bound):
                _checked(value, number >= bound)
            case annotated_types.Lt(lt=bound):
                _checked(value, number < bound)
            case annotated_types.Le(le=bound):
                _checked(value, number <= bound)
    return number


def _checked(value: Any, is_right: bool) -> Any:
    if not is_right:
        raise ValueError(value)
    return value
