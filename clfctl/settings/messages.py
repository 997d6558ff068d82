"""A bad value in one sentence: the option, what was given and where, and what is allowed."""

from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic_core import ErrorDetails

from clfctl.errors import nearest
from clfctl.settings.base import Settings

WORDS = {int: "a whole number", float: "a number", bool: "true or false"}


def explain(
    settings_type: type[Settings], name: str, problem: ErrorDetails | Mapping[str, Any], origin: str, option: str
) -> str:
    """Return the sentence for one problem that Pydantic found."""
    given = problem["input"]
    sentence = f"{option}: {given!r} (from the {origin}) is not allowed; it must be {allowed(settings_type, name)}"
    choices = choices_of(settings_type, name)
    close = nearest(str(given), choices) if choices else ""
    return f"{sentence}; {close}" if close else sentence


def allowed(settings_type: type[Settings], name: str) -> str:
    """Return what a field accepts, in words: `a number greater than 0`, `one of step, plateau, cosine`."""
    if choices := choices_of(settings_type, name):
        return "one of " + ", ".join(choices)
    field = settings_type.model_fields[name]
    kind = WORDS.get(_plain_type(field.annotation), "text")
    limits = []
    for mark in field.metadata:
        match mark:
            case annotated_types.Gt(gt=limit):
                limits.append(f"greater than {limit}")
            case annotated_types.Ge(ge=limit):
                limits.append(f"at least {limit}")
            case annotated_types.Lt(lt=limit):
                limits.append(f"less than {limit}")
            case annotated_types.Le(le=limit):
                limits.append(f"at most {limit}")
    return f"{kind} {' and '.join(limits)}".rstrip()


def choices_of(settings_type: type[Settings], name: str) -> list[str]:
    """Return the words that a field accepts, none if it is not a choice."""
    annotation = settings_type.model_fields[name].annotation
    return [str(choice) for choice in get_args(annotation)] if get_origin(annotation) is Literal else []


def _plain_type(annotation: Any) -> Any:
    if get_origin(annotation) is None:
        return annotation
    if get_origin(annotation) is Union or type(None) in get_args(annotation):
        return next(arg for arg in get_args(annotation) if arg is not type(None))
    return annotation
