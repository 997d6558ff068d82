"""The setting that says how the learning rate goes on when a run is made longer."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import field_validator

from clfctl.errors import UsageError, nearest
from clfctl.settings.base import FieldError, Option, Settings

Way = Literal["stretch", "hold", "rewarm", "anneal"]
# Of each way that has one, what its number is when it is left out: of hold the share of the epochs left in which the
# rate falls, of rewarm the share of the base rate that it rises to.
SHARES: dict[Way, float] = {"hold": 0.2, "rewarm": 0.5}
ACCEPTS = "stretch, hold, rewarm or anneal, of which hold and rewarm may have a share, such as rewarm:0.3"


@dataclass(frozen=True)
class Extend:
    """A way for the rate to go on, and its number: a share, above 0 and at most 1."""

    way: Way
    number: float | None = None

    @property
    def share(self) -> float:
        """The number, or what it is when it is left out."""
        return SHARES.get(self.way, 1.0) if self.number is None else self.number


def parse_extend(text: str) -> Extend:
    """Return what is written: `hold`, `rewarm:0.3`. Raises UsageError if it is no way to go on."""
    word, _, number = (each.strip() for each in text.partition(":"))
    for way in get_args(Way):
        if way != word:
            continue
        if ":" not in text:
            return Extend(way)
        if way not in SHARES:
            raise UsageError(f"{way} has no number", f"leave it out: {way}", field="extend")
        try:
            share = float(number)
        except ValueError:
            share = 0.0
        if not 0 < share <= 1:
            what = f"the number of {way} is {number!r}; it must be greater than 0 and at most 1"
            raise UsageError(what, f"such as {way}:{SHARES[way]:g}", field="extend")
        return Extend(way, share)
    hint = nearest(word, get_args(Way)) or "`clfctl lr-preview RUN` draws all four, with `epochs=N`"
    raise UsageError(f"{text!r} is not a way to go on; there are: {', '.join(get_args(Way))}", hint, field="extend")


class ExtendSettings(Settings):
    """Learning-rate schedule"""

    extend: Annotated[str, Option(values="ways", metavar="|".join(get_args(Way)), accepts=ACCEPTS)] = ""
    """How the rate goes on with more `epochs=`: the same curve over the new length, from now on (`stretch`); at the
    last rate, falling over the last fifth (`hold`, or `hold:0.3`); up again to half of the base, and down (`rewarm`,
    or `rewarm:0.3`); down from the last rate (`anneal`). Unset: by the schedule, which is said. `clfctl lr-preview
    RUN` draws all four."""

    @field_validator("extend")
    @classmethod
    def _is_a_way(cls, text: str) -> str:
        if text:
            try:
                parse_extend(text)
            except UsageError as error:
                raise FieldError("extend", error.message, error.hint) from None
        return text
