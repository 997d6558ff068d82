"""The value of a setting in words, as every table and message shows it."""

from typing import Any


def value_in_words(value: Any, unset: str = "unset") -> str:
    """Return a value as it is typed, `unset` for None, an empty text and an empty list."""
    match value:
        case None | "" | ():
            return unset
        case tuple() | list():
            return ",".join(value_in_words(each) for each in value)
        case float() if float(f"{value:g}") == value:
            return f"{value:g}"  # 50 epochs that may be a fraction are 50, not 50.0
    return str(value)
