"""The options of another library's command line: `--name value`, `name=value` or `name: value`."""

import math
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from clfctl.errors import UsageError, nearest

Take = Literal["text", "dict", "integer", "number", "numbers", "flag"]
IN_WORDS = {"integer": "a whole number", "number": "a number", "numbers": "numbers", "flag": "true or false"}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "none")
# So near to a known option that it is a typing mistake.
MISTYPED = 0.8


@dataclass
class Words:
    """What was stated: values by the option's name, and the names of options that say nothing about the rate."""

    library: str
    values: dict[str, Any] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def get(self, name: str, default: Any = None) -> Any:
        """Return what was stated of an option."""
        return self.values.get(name, default)

    def left_out(self) -> list[str]:
        """Return a sentence that names the options that are not translated, if there are any."""
        if not self.others:
            return []
        return [f"left out, as nothing about the learning rate is known of it: {', '.join(dict.fromkeys(self.others))}"]


def read_words(
    text: str, library: str, takes: Mapping[str, Take], first: str, names: tuple[str, ...] = (), **older: str
) -> Words:
    """Return the options of a text. A word without an option before it, of `names` if there is one, is that of `first`.

    `takes` are the known options, `older` other names of some. Raises UsageError for a wrong value, and for a name that
    is so near to a known one that it is mistyped.
    """
    found, bare = Words(library), list[str]()
    for name, values in _options(text, library):
        known = older.get(name, name)
        if not name:
            bare = values
        elif known in takes:
            if known in found.values:
                raise UsageError(f"{name} of {library} is stated twice", "state it once")
            found.values[known] = _read(library, name, values, takes[known])
            # What follows a whole value is not its own.
            found.others += values[1:] if takes[known] in ("text", "integer", "number") else []
        else:
            _refuse_mistyped(library, name, [*takes, *older])
            found.others.append(name)
    if first and bare and first not in found.values:
        # One that is no name at all is told apart where names are: it must not count as none.
        found.values[first] = next((each for each in bare if each in names), bare[0])
        bare = [each for each in bare if each != found.values[first]]
    for each in bare:
        if each not in names and (known := older.get(each, each)) in takes:
            raise UsageError(
                f"{each} of {library} is stated without a value", f"it takes {IN_WORDS.get(takes[known], 'a word')}"
            )
    found.others[:0] = [each for each in bare if each not in names]
    return found


def _options(text: str, library: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each option's name, with underscores, and its values; the name is empty for words before any option."""
    try:
        words = shlex.split(text.replace("\n", " "))
    except ValueError as error:
        raise UsageError(
            f"the options of {library} cannot be read: {str(error).lower()}", "close every quote"
        ) from None
    name, values = "", list[str]()
    for word in words:
        option, sign, value = word.partition("=")
        if values and values[0].startswith("{") and not values[-1].endswith("}"):
            values.append(word)
        elif (word.startswith("-") and not _NUMBER.fullmatch(word)) or (sign and option.isidentifier()):
            if name or values:
                yield name, values
            name, values = option.lstrip("-").replace("-", "_"), [value.rstrip(",")] if sign else []
        elif word.endswith(":") and word[:-1].isidentifier():
            if name or values:
                yield name, values
            name, values = word[:-1], []
        elif word != ",":
            values.append(word.rstrip(","))
    if name or values:
        yield name, values


def _read(library: str, name: str, values: list[str], take: Take) -> Any:
    try:
        if take == "numbers":
            inner = [each for value in values for each in re.split(r"[\s,\[\]()]+", value) if each]
            numbers = [float(each) for each in inner]
            if not numbers or not all(map(math.isfinite, numbers)):
                raise ValueError
            return numbers
        if take == "flag":
            word = values[0].lower() if values else "true"
            if word not in (*_TRUE, *_FALSE):
                raise ValueError
            return word in _TRUE
        if not values:
            raise ValueError
        if take in ("text", "dict"):
            return values[0] if take == "text" else " ".join(values)
        value = float(values[0])
        if not math.isfinite(value) or (take == "integer" and not value.is_integer()):
            raise ValueError
        return int(value) if take == "integer" else value
    except ValueError:
        given = repr(" ".join(values)) if values else "stated without a value"
        what = f"{name} of {library} is {given}"
        raise UsageError(f"{what}; it must be {IN_WORDS.get(take, 'a word')}") from None


def _refuse_mistyped(library: str, name: str, known: list[str]) -> None:
    from difflib import get_close_matches

    if get_close_matches(name, known, cutoff=MISTYPED):
        raise UsageError(f"{library} has no option {name!r}", nearest(name, known))
