"""Who is told of what takes long: a command shows it, a library call keeps it or does not. No torch here."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Onlookers:
    """Shows the user what takes long: `tell` takes a line; what `bar` yields takes how many more are done."""

    tell: Callable[[str], None]
    bar: Bar


def no_line(line: str) -> None:
    """Take the place of `tell` where nobody looks on."""


def no_step(n: int) -> None:
    """Take the place of what moves a bar where nobody looks on."""


@contextmanager
def no_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG001 (a `Bar`)
    """Take the place of a bar where nobody looks on."""
    yield no_step
