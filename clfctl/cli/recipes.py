"""`--recipe` without a name: the recipes that there are."""

from collections.abc import Sequence

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
    )
