"""What is searched: settings, each with a range or a list of values, read from `lr=1e-5..1e-2:log` and its like."""

import math
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from clfctl.errors import UsageError, nearest, shortened
from clfctl.settings.base import aliases_of
from clfctl.settings.groups import ProbeSettings, TrainSettings
from clfctl.settings.sources import field_of
from clfctl.settings.tuning import in_search
from clfctl.storage.files import reason_of
from clfctl.storage.home import expand_home

Value = str | int | float | None

# Settings that a search may not touch, with the reason.
FIXED = {
    "data": "every trial is judged by the same images",
    "data_dir": "every trial is judged by the same images",
    "val_split": "every trial is judged by the same images",
    "group_by": "every trial is judged by the same images",
    "seed": "the best seed is chance; `confirm=3` trains the best again with others",
    "monitor": "it is what trials are judged by",
    "run_name": "it names the study",
    "runs_dir": "it holds the study",
    "time": "it is the time of the study",
}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})((?::[a-z]+(?:=[^:]*)?)*)")
_WHOLE = re.compile(r"[-+]?\d+")
_HINT = "write a range (`search=lr=1e-5..1e-2:log`) or a list (`search=batch-size=16,32`)"
NONE = "none"
# Digits of a number that is drawn from a range as wide as its ends: more make no difference, and are hard to read.
DIGITS, MOST_DIGITS = 4, 12


@dataclass(frozen=True)
class Dimension:
    """A setting that is searched: among `choices`, or where there are none from `low` to `high`.

    Choices are texts as on the command line, None for what is not set. A range `is_log` is drawn by its logarithm; it
    may have a `step`, and `is_whole` where the setting takes whole numbers alone.
    """

    name: str
    choices: tuple[str | None, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    step: float | None = None
    is_whole: bool = False

    @property
    def samples(self) -> tuple[Value, ...]:
        """Values that say whether all are allowed: each choice, or both ends of the range."""
        return self.choices or (self.value(self.low), self.value(self.high))

    def value(self, drawn: Value) -> Value:
        """Return what the setting becomes for what was drawn: of a range a number with few digits, within it.

        Of a narrow one, such as 0.999..0.99999, as many as tell a thousandth of it. A step has its own.
        """
        if self.choices or not isinstance(drawn, int | float):
            return drawn
        if self.is_whole:
            return int(drawn)
        digits = MOST_DIGITS
        if not self.step:
            narrow = max(abs(self.low), abs(self.high)) / (self.high - self.low)
            digits = min(MOST_DIGITS, max(DIGITS, math.ceil(math.log10(narrow)) + DIGITS - 1))
        return min(self.high, max(self.low, float(f"{drawn:.{digits}g}")))

    def every_value(self) -> tuple[Value, ...]:
        """Return all values, empty for a range that has too many: one without a step."""
        if self.choices:
            return self.choices
        step = self.step or (1 if self.is_whole and not self.is_log else None)
        if not step:
            return ()
        n = math.floor((self.high - self.low) / step + 1e-9) + 1
        return tuple(int(each) if self.is_whole else float(each) for each in (self.low + i * step for i in range(n)))

    def __str__(self) -> str:
        if self.choices:
            return in_search(self.name, self.choices)
        low, high = (f"{int(each)}" if self.is_whole else repr(each) for each in (self.low, self.high))
        step = f":step={self.step:g}" if self.step else ""
        return f"{self.name}={low}..{high}{':log' if self.is_log else ''}{step}"


Space = tuple[Dimension, ...]


def read_space(texts: Sequence[str], known: Collection[str]) -> Space:
    """Return the space of texts, each a setting with its values, or a TOML file of such; later ones replace earlier.

    `known` are the settings that there are. Raises UsageError.
    """
    found: dict[str, Dimension] = {}
    for text in texts:
        lines = _read_file(text) if "=" not in text else [text]
        here: set[str] = set()
        for line in lines:
            dimension = _dimension(line, known)
            if dimension.name in here:
                raise UsageError(f"{text} has {dimension.name} twice", "keep one of the two", field="search")
            here.add(dimension.name)
            found[dimension.name] = dimension
    return tuple(found.values())


def default_space(kind: str) -> list[str]:
    """Return the texts of the space that is searched where none is given, for a kind of training."""
    text = (resources.files("clfctl.tuning") / "spaces" / f"{kind}.toml").read_text(encoding="utf-8")
    return [in_search(name, values) for name, values in tomllib.loads(text).items()]


def _read_file(text: str) -> list[str]:
    if not text.lower().endswith(".toml"):
        raise UsageError(f"{shortened(text)!r} names no values", _HINT, field="search")
    path = Path(expand_home(text))
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"cannot read {path}: {reason}", field="search") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}", field="search") from None
    return [in_search(name, each) for name, each in values.items()]


def _dimension(text: str, known: Collection[str]) -> Dimension:
    written, _, values = (part.strip() for part in text.partition("="))
    aliases: Mapping[str, str] = {**aliases_of(ProbeSettings), **aliases_of(TrainSettings)}
    name = field_of(written, known, aliases)
    if name in FIXED:
        raise UsageError(f"{name} cannot be searched: {FIXED[name]}", field="search")
    if name not in known:
        hint = nearest(written.replace("-", "_"), known) or "`clfctl train --help` lists every setting"
        raise UsageError(f"{shortened(written)!r} is not a setting that can be searched", hint, field="search")
    if found := _RANGE.fullmatch(values):
        return _range(name, text, found)
    choices = tuple(_split(values, text))
    if len(choices) < 2 or len({*choices}) < len(choices) or not all(choices):
        what = (
            f"{shortened(text)!r} leaves nothing to choose" if len(choices) < 2 else f"{shortened(text)!r} has a value"
        )
        twice = "" if len(choices) < 2 else (" twice" if all(choices) else " that is empty")
        raise UsageError(f"{what}{twice}", _HINT, field="search")
    return Dimension(name, tuple(None if each == NONE and _may_be_unset(name) else each for each in choices))


def _range(name: str, text: str, found: re.Match[str]) -> Dimension:
    low, high, is_log, step = float(found[1]), float(found[2]), False, None
    if not low < high or not math.isfinite(high):
        raise UsageError(f"the range of {text} does not rise", "its first number must be the lower", field="search")
    for part in filter(None, found[3].split(":")):
        key, _, value = part.partition("=")
        if key == "log" and not value:
            is_log = True
        elif key == "step" and re.fullmatch(_NUMBER, value) and 0 < float(value) <= high - low:
            step = float(value)
        else:
            hint = "after a range there may be `:log`, or `:step=` and a number that is not larger than the range"
            raise UsageError(f"{part!r} of {text} is not understood", hint, field="search")
    if is_log and (low <= 0 or step):
        what = "has a step and a logarithm" if step else "begins at 0 or below, which has no logarithm"
        raise UsageError(f"the range of {text} {what}", "leave one of the two out", field="search")
    if step:  # the last of its values
        high = low + step * math.floor((high - low) / step + 1e-9)
    written = (found[1], found[2], *([f"{step:g}"] if step else []))
    is_whole = all(map(_WHOLE.fullmatch, written)) and _takes_whole_numbers(name, low)
    return Dimension(name, (), low, high, is_log, step, is_whole)


def _split(values: str, text: str) -> Iterator[str]:
    """Yield the values of a list; commas in parentheses, brackets and quotes do not divide."""
    value, depth, is_quoted, is_escaped = "", 0, False, False
    for character in values:
        if is_escaped or (is_quoted and character == "\\"):
            value, is_escaped = value + (character if is_escaped else ""), not is_escaped
        elif character == '"':
            is_quoted = not is_quoted
        elif character == "," and not depth and not is_quoted:
            yield value.strip()
            value = ""
        else:
            if not is_quoted:
                depth += (character in "([{") - (character in ")]}")
            value += character
    if is_quoted or depth:
        raise UsageError(f"{shortened(text)!r} has a quote or parenthesis too many or too few", field="search")
    yield value.strip()


def _may_be_unset(name: str) -> bool:
    return any(name in each.model_fields and each.model_fields[name].default is None for each in _GROUPS)


def _takes_whole_numbers(name: str, low: float) -> bool:
    """Return whether a setting refuses a number between two whole ones."""
    group = next(each for each in _GROUPS if name in each.model_fields)
    try:
        group.model_validate({name: low + 0.5})
    except ValueError:
        return True
    except UsageError:
        return True
    return False


_GROUPS = (TrainSettings, ProbeSettings)
