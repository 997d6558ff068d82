"""Sentences on a terminal that is narrower than they are: broken between words, commands left whole."""

import os
import shutil
import textwrap
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

COMMAND = "clfctl "
_INDENT = "  "


def width_of(stream: TextIO) -> int:
    """Return the columns of the terminal that a stream goes to, 0 if it goes to none."""
    if not stream.isatty():
        return 0
    if os.environ.get("COLUMNS", "").isdecimal():
        return int(os.environ["COLUMNS"])
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def in_width(text: str, width: int) -> str:
    """Return a text whose lines are broken between words where they do not fit into `width` columns; 0: never.

    A command to be copied stays on a line of its own, which the terminal breaks: copied from there it is one line.
    """
    return "\n".join(_broken(line, width) for line in text.split("\n")) if width else text


def print_sentence(console: "Console", line: str) -> None:
    """Print a sentence below a table, broken as `in_width` does where it goes to a terminal."""
    from rich.text import Text

    width = console.width if console.is_terminal else 0
    console.print(Text(in_width(line, width)), soft_wrap=True)


def _broken(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    head, command, tail = line.partition(f": {COMMAND}")
    if not command:
        return _wrapped(line, width)
    return f"{_wrapped(f'{head}:', width)}\n{_INDENT}{COMMAND}{tail}"


def _wrapped(line: str, width: int) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line,
        width,
        subsequent_indent=indent + _INDENT,
        replace_whitespace=False,
        drop_whitespace=True,
        break_long_words=False,
        break_on_hyphens=False,
    )
