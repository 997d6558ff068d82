"""A bad value in one sentence: what was given and where, and what is allowed."""

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic_core import ErrorDetails

from clfctl.errors import nearest
from clfctl.schedules.parameters import in_words, plain_type
from clfctl.settings.base import Settings, option_of


def explain(settings_type: type[Settings], name: str, problem: ErrorDetails | Mapping[str, Any], origin: str) -> str:
    """Return the sentence for one problem that Pydantic found."""
    if problem["type"] == "no_home":
        return f"{problem['msg']} (from the {origin})"
    given = problem["input"]
    sentence = f"{given!r} (from the {origin}) is not allowed; it must be {allowed(settings_type, name)}"
    choices = choices_of(settings_type, name)
    close = nearest(str(given), choices) if choices else ""
    return f"{sentence}; {close}" if close else sentence


def allowed(settings_type: type[Settings], name: str) -> str:
    """Return what a field accepts, in words: `a number greater than 0`, `one of step, plateau, cosine`."""
    field = settings_type.model_fields[name]
    return option_of(settings_type, name).accepts or in_words(field.annotation, field.metadata)


def choices_of(settings_type: type[Settings], name: str) -> list[str]:
    """Return the words that a field accepts, none if it is not a choice."""
    annotation = plain_type(settings_type.model_fields[name].annotation)
    return [str(choice) for choice in get_args(annotation)] if get_origin(annotation) is Literal else []
