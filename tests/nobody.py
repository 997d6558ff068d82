"""Onlookers for tests that show nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clfctl.data.onlookers import Onlookers


@contextmanager
def _no_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda n: None


NOBODY = Onlookers(lambda line: None, _no_bar)
