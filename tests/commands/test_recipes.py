"""`--recipe` without a name lists the recipes, each with what it is for."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence

import pytest
from rich.console import Console

from clfctl.cli.recipes import asks_for_recipes, print_wrapped
from clfctl.settings.sources import recipe_names, recipe_summaries


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "--recipe"], True),
        (["train", "-r"], True),
        (["train", "-r", "--epochs", "3"], True),
        (["train", "--data", "x", "--recipe", "-q"], True),
        (["train", "--recipe", "long-cosine"], False),
        (["train", "--recipe=long-cosine"], False),
        (["train", "-r", "long-cosine", "-e", "3"], False),
        (["train"], False),
        (["lr-preview", "--", "--recipe"], False),
    ],
)
def test_when_it_is_without_a_name(words: Sequence[str], expected: bool) -> None:
    assert asks_for_recipes(words) == expected


def test_all_are_listed() -> None:
    command = [sys.executable, "-m", "clfctl", "train", "--recipe"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    records = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {record["recipe"]: record["summary"] for record in map(json.loads, records)} == recipe_summaries()


@pytest.mark.parametrize("name", recipe_names())
def test_each_says_what_it_is_for(name: str) -> None:
    assert recipe_summaries()[name].endswith(".")


def test_a_terminal_gets_no_word_in_two() -> None:
    console = Console(width=60, file=io.StringIO())
    print_wrapped(recipe_summaries(), console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    assert max(map(len, lines)) <= 60
    words = " ".join(" ".join(lines).split())
    assert all(name in words for name in recipe_names())
    assert {line[:1] for line in lines if line.split()[0] not in recipe_names()} == {" "}
