"""A range of numbers that something random is drawn from, as it is typed: 0.5..1, or 3/4..4/3."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

_WRITTEN = re.compile(r"\s*([^\s.][^\s]*?|\.\d\S*?)\s*\.\.\s*(\S+)\s*")
_MAX_DENOMINATOR, _MAX_DIGITS = 16, 6


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`; prints as it is typed."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{_in_words(self.low)}..{_in_words(self.high)}"

    @property
    def pair(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high


def read_range(value: Any) -> Range:
    """Return the range that 0.5..1 or a pair of numbers stands for; both are above 0. Raises ValueError."""
    match value:
        case Range():
            low, high = value.pair
        case str() if found := _WRITTEN.fullmatch(value):
            low, high = _number(found[1]), _number(found[2])
        case Sequence() if len(value) == 2 and all(type(each) in (int, float) for each in value):
            low, high = map(float, value)
        case _:
            raise ValueError(f"{value!r} is no range")
    if not 0 < low <= high < math.inf:
        raise ValueError(f"{value!r} is no range of numbers above 0")
    return Range(low, high)


def _number(text: str) -> float:
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"{text!r} is no number") from None


def _in_words(number: float) -> str:
    short = f"{number:g}"
    if float(short) == number:
        return short
    ratio = Fraction(number).limit_denominator(_MAX_DENOMINATOR)
    return str(ratio) if float(ratio) == number and len(repr(number)) > _MAX_DIGITS else repr(number)


def _share(value: Any) -> Range:
    found = read_range(value)
    if found.high > 1:
        raise ValueError(f"{value!r} is more than the whole")
    return found


RangeSetting = Annotated[Range, PlainValidator(read_range), PlainSerializer(str)]
ShareSetting = Annotated[Range, PlainValidator(_share), PlainSerializer(str)]
