"""What a translation is, and what it may go by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from clfctl.errors import UsageError, shortened
from clfctl.schedules.durations import in_digits
from clfctl.settings.words import value_in_words


@dataclass(frozen=True)
class Translation:
    """A schedule of another library as settings of ours, by name; `notes` are sentences about what is not in them."""

    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The training with that rate, as a message shows it."""
        return " ".join(["clfctl train", *(f"`{name}={_words(value)}`" for name, value in self.settings.items())])


@dataclass(frozen=True)
class Known:
    """What is known beside the text: the batches in an epoch, and the settings of ours that are stated with it."""

    text: str
    steps_per_epoch: int | None
    given: Mapping[str, Any]

    def setting(self, name: str, stated: Any, default: Any) -> Any:
        """Return the value of a setting of ours: what the text states, else what is stated beside it, else a default.

        Raises UsageError if both state one.
        """
        if stated is None:
            return self.given.get(name, default)
        if name in self.given and self.given[name] != stated:
            what = f"{value_in_words(self.given[name])} is stated, and {shortened(self.text)!r} says {_words(stated)}"
            raise UsageError(what, "state it once", field=name)
        return stated

    def steps(self, why: str) -> int:
        """Return the batches in an epoch; raises UsageError, which says what for, if they are not known."""
        if self.steps_per_epoch is None:
            hint = "add `steps_per_epoch=`, the number of batches in an epoch"
            raise UsageError(f"{shortened(self.text)!r}: {why}, and the number of steps in an epoch is not known", hint)
        return self.steps_per_epoch

    def refuse(self, what: str, hint: str = "") -> NoReturn:
        """Raise UsageError for a text that cannot be translated exactly."""
        raise UsageError(f"{shortened(self.text)!r} cannot be translated exactly: {what}", hint)


def call(name: str, **arguments: Any) -> str:
    """Return a part of an expression; arguments that are None are left out."""
    stated = {key: value for key, value in arguments.items() if value is not None}
    return f"{name}({', '.join(f'{key}={_words(value)}' for key, value in stated.items())})" if stated else name


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_words, value))}]"
    return in_digits(value) if isinstance(value, int | float) else str(value)
