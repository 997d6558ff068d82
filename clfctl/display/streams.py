"""Standard output and error as they may be: closed, without a reader, or of an encoding that lacks our characters."""

import codecs
import contextlib
import os
import sys
import warnings
from typing import Any

from clfctl.storage.names import plain

# What stands for a character that the terminal does not have. Braille is drawn as marks of the same size.
_INSTEAD = {
    "→": "->", "–": "-", "—": "-", "…": "...", "×": "x", "·": ".", "≤": "<=", "★": "*", "▲": "^", "µ": "u",
    "─": "-", "│": "|", "┤": "|", "├": "|", "┬": "+", "└": "+", "█": "#", "▏": " ", "▎": " ", "▍": "|", "▌": "|",
    "▋": "|", "▊": "#", "▉": "#", "━": "-", "╸": "-", "╺": "-",
}  # fmt: skip
_BRAILLE = 0x2800
_HANDLER = "clfctl"


def make_writable(stream: Any) -> None:
    """Let a stream take every text: what its encoding lacks is replaced by something like it, or by its number."""
    # A stream that is not a text file of the system's, such as a notebook's, takes everything.
    with contextlib.suppress(AttributeError, ValueError, OSError):
        stream.reconfigure(errors=_HANDLER)


def open_what_is_closed() -> None:
    """Give a process without standard input, output or error (`>&-`) the null device instead.

    Else the first file that it opens would get that number, and whatever a library prints would end up in it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 (a descriptor, kept)


def silence_libraries() -> None:
    """Keep what other libraries warn and log from the terminal, where it would stand in the middle of our own lines.

    What matters of it is checked, and told in a sentence. `python -W` and PYTHONWARNINGS bring warnings back.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # Read by huggingface_hub when it is imported: it has a log handler of its own.
    os.environ.setdefault("HF_HUB_VERBOSITY", "critical")
    if not (sys.stderr and sys.stderr.isatty()):
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def silence_logs() -> None:
    """Keep what libraries log without a handler from standard error, for the same reason."""
    import logging  # some milliseconds, which a preview does not wait for

    logging.lastResort = logging.NullHandler()  # with None, logging says that there is no handler


def forget_reader(stream: Any) -> None:
    """Write to nowhere from now on: whoever read the stream has gone, and Python would complain at its end."""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Return what is written instead of some characters, as `codecs` asks for it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_ascii, error.object[error.start : error.end])), error.end


def _in_ascii(character: str) -> str:
    dots = ord(character) - _BRAILLE
    if 0 <= dots < 0x100:
        return _dots_in_ascii(dots)
    if character in _INSTEAD:
        return _INSTEAD[character]
    escaped = plain(character)
    return escaped if escaped.isascii() else character.encode("ascii", "backslashreplace").decode()


def _dots_in_ascii(dots: int) -> str:
    """Return the mark that is most like a cell of two by four dots."""
    rows = [bool(dots & bits) for bits in (0x09, 0x12, 0x24, 0xC0)]
    match rows:
        case [False, False, False, False]:
            return " "
        case [True, False, False, False]:
            return "'"
        case [False, False, False, True]:
            return "."
        case [_, _, _, _] if sum(rows) >= 3:
            return "|"
        case [True, True, False, False]:
            return '"'
        case [False, False, True, True]:
            return "_"
    return "-"


codecs.register_error(_HANDLER, _replace)
