"""Our own exceptions: one sentence for the user, a hint, and the exit code that the program ends with."""

import difflib
import re
from collections.abc import Iterable

# A setting in a text, as Python would write it: `val_split=0.2`, or `val_split=` without a value.
SETTING = re.compile(r"`([a-z][a-z0-9_]*)=([^`]*)`")
_MAX_CHARACTERS = 4000
_ESCAPE_CODE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
LONGEST_REASON = 200


class ClfctlError(Exception):
    """Something that the user can act on: shown as one sentence and a hint, without a traceback.

    `field` names the setting or argument at fault, as Python spells it: `batch_size`. Where a message or a hint speaks
    of a setting, it stands in backticks as a keyword argument: "`val_split=0.2`", or "`val_split=`" without a value.
    The command line alone knows that these are called `--batch-size` and `--val-split 0.2`; see `cli/reporting.py`.
    """

    exit_code = 1
    is_told = False
    """Whether another process tells the user."""

    def __init__(self, message: str, hint: str = "", *, field: str = "") -> None:
        # Every value that a message shows is shortened where it is written; this is for libraries' own messages.
        message, hint = (
            text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…" for text in (message, hint)
        )
        super().__init__(message)
        self.message, self.hint, self.field = message, hint, field

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class UsageError(ClfctlError):
    """A wrong option, setting or argument: nothing was started."""

    exit_code = 2


class DataError(ClfctlError):
    """The data cannot be trained on or read."""


class ModelError(ClfctlError):
    """A model or its weights cannot be built or loaded."""


class WriteError(ClfctlError):
    """A file of a run cannot be written."""


class RunLockedError(ClfctlError):
    """Another process trains the run."""


class CheckpointError(ClfctlError):
    """A checkpoint cannot be written or used."""


class DamagedError(CheckpointError):
    """A checkpoint is missing or not what was written: its predecessor may do."""


class NonFiniteLossError(ClfctlError):
    """The loss became NaN or infinite: training on would only spread it."""


class Interrupted(ClfctlError):
    """A signal asked to stop; the state is saved. The exit code is that of the signal."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


class LostProcessError(ClfctlError):
    """Another process of a training has ended, or does not come."""


class TogetherError(ClfctlError):
    """What went wrong in another process of a training. The exit code is that of its error."""

    def __init__(self, message: str, hint: str, exit_code: int, *, field: str = "") -> None:
        super().__init__(message, hint, field=field)
        self.exit_code = exit_code


class StoppedAtOnce(KeyboardInterrupt):
    """A signal asked to stop where nothing is to be saved. No Exception: a library that catches those must not eat it.

    `exit_code` is that of the signal, `hint` what to do next.
    """

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message)
        self.hint, self.exit_code = hint, exit_code


def shortened(value: object, limit: int = 80) -> str:
    """Return a user's value for a message: on one line, and at most `limit` characters of it."""
    text = str(value[:limit] if isinstance(value, bytes | bytearray) else value)[: 4 * limit]
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def nearest(word: str, known: Iterable[str], n: int = 3) -> str:
    """Return `did you mean a, b or c?` for the known words most like `word`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=50, cutoff=0.5)
    # Of equally near words the first of the alphabet: efficientnet_b0 before efficientnet_b8.
    close = sorted(close, key=lambda each: (-difflib.SequenceMatcher(None, each, word).ratio(), each))[:n]
    if not close:
        return ""
    *first, last = close
    return f"did you mean {', '.join(first) + ' or ' + last if first else last}?"


def first_line(error: BaseException) -> str:
    """Return the first line that a library says of its error, without colours and not too long; its kind if none."""
    lines = (line.strip() for line in _ESCAPE_CODE.sub("", str(error)).splitlines())
    return next(filter(None, lines), type(error).__name__)[:LONGEST_REASON]
