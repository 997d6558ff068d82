"""`--recipe` without a name: the recipes that there are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

OPTIONS = ("--recipe", "-r")


def asks_for_recipes(words: Sequence[str]) -> bool:
    """Return whether a command line has the option without a name: at its end, or before another option."""
    following = dict(zip(words, [*words[1:], "-"], strict=True))
    return any(following.get(option, "").startswith("-") for option in OPTIONS) and "--" not in words


def print_recipes(*, as_json: bool) -> None:
    """Print each recipe with what it is for, a line each."""
    from clfctl.display.output import Output
    from clfctl.settings.groups import OutputSettings
    from clfctl.settings.sources import recipe_summaries

    summaries = recipe_summaries()
    width = max(map(len, summaries))
    Output(OutputSettings(json_lines=as_json)).result(
        json=lambda: ({"recipe": name, "summary": summary} for name, summary in summaries.items()),
        plain=lambda: (f"{name.ljust(width)}  {summary}" for name, summary in summaries.items()),
        rich=lambda console: print_wrapped(summaries, console),
    )


def print_wrapped(summaries: Mapping[str, str], console: "Console") -> None:
    """Print each recipe with what it is for beside it, as wide as the terminal is."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for name, summary in summaries.items():
        table.add_row(name, summary)
    console.print(table, highlight=False)
