"""Lengths of time as they are written: `2` and `0.5` epochs, `500b` batches, `10%` of the training."""

import math
from dataclasses import dataclass
from typing import Literal

from clfctl.errors import UsageError
from clfctl.schedules.base import Span

DURATIONS = "epochs (2, 0.5), batches (500b) or a share of the training (10%)"
Unit = Literal["epochs", "batches", "percent"]


@dataclass(frozen=True)
class Duration:
    """A length in one of three units."""

    value: float
    unit: Unit = "epochs"

    def epochs(self, span: Span) -> float:
        """Return the length in epochs; raises UsageError for batches if it is not known how many an epoch has."""
        if self.unit == "percent":
            return self.value / 100 * span.epochs
        if self.unit == "epochs" or not self.value:
            return self.value
        if span.steps_per_epoch is None:
            hint = "add `steps_per_epoch=`, the number of batches in an epoch"
            raise UsageError(
                f"the length of {self.value:g}b (batches) depends on the data, which is not known here", hint
            )
        return self.value / span.steps_per_epoch

    def __str__(self) -> str:
        """Return it as it is written."""
        return in_digits(self.value) + {"epochs": "", "batches": "b", "percent": "%"}[self.unit]


def parse_duration(text: str) -> Duration:
    """Return what is written; raises ValueError if it is not a length of time."""
    number, unit = text.strip(), "epochs"
    for suffix, name in (("b", "batches"), ("%", "percent"), ("e", "epochs")):
        if number.endswith(suffix):
            number, unit = number.removesuffix(suffix), name
            break
    value = float(number)
    if not math.isfinite(value) or value < 0 or (unit == "batches" and not value.is_integer()):
        raise ValueError(text)
    return Duration(value, unit)  # type: ignore[arg-type]  # one of the three above


def in_digits(number: float) -> str:
    """Return a number as short as it can be read back without a difference: `4`, `0.5`, `2.3333333333333335`."""
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))
