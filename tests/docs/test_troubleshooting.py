"""docs/troubleshooting.md quotes sentences of the program: each of them still stands in its source."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| [^|]+ \| (?P<says>[^|]+) \| [^|]+ \|$", re.MULTILINE)
QUOTED = re.compile(r"`([^`]+)`")


def quotes() -> Iterator[str]:
    for row in ROW.finditer(TEXT):
        yield from (quote for quote in QUOTED.findall(row["says"]) if not quote.startswith(("clfctl runs", "\\x")))


@cache
def sources() -> str:
    """Return every text of the package, with `…` in the place of what is filled in."""
    return "\n".join(" ".join(text.split()) for path in (ROOT / "clfctl").rglob("*.py") for text in _texts(path))


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_there_are_rows() -> None:
    assert len([*ROW.finditer(TEXT)]) > 35
    assert len([*quotes()]) > 30


@pytest.mark.parametrize("quote", sorted(set(quotes())))
def test_the_program_says_it(quote: str) -> None:
    for piece in filter(None, (each.strip(" :;,") for each in quote.split("…"))):
        words = piece.split()
        # A verb or a plural may be filled in: three words in a row are enough to be found again.
        runs = [" ".join(words[at : at + 3]) for at in range(max(1, len(words) - 2))]
        assert any(run in sources() for run in runs), f"{piece!r} of {quote!r}"
