"""clfctl models: which networks there are, and one of them in detail. Without torch, but for the detail."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from clfctl.display.models_text import plain_line, summary_lines
from clfctl.display.output import Output
from clfctl.models.listing import Model, how_known, matching_models

if TYPE_CHECKING:
    from rich.console import Console


def models(pattern: str, output: Output, *, only_cached: bool) -> None:
    """Print the models like a pattern: a table, plain lines to a file, or JSON lines."""
    found = matching_models(pattern, only_cached=only_cached)
    output.result(
        json=lambda: (each.as_record() for each in found),
        plain=lambda: map(plain_line, found),
        rich=lambda console: _print_table(found, console),
        notes=_notes(found),
    )


def _print_table(found: Sequence[Model], console: "Console") -> None:
    from clfctl.display.models_table import print_models

    print_models(found, console)


def show(name: str, output: Output) -> None:
    """Print what there is to know of one model."""
    from clfctl.engine.as_it_was import as_it_was
    from clfctl.models.summary import summary_of

    with as_it_was():
        summary = summary_of(name)
    output.result(json=lambda: [summary.as_record()], plain=lambda: summary_lines(summary))


def _notes(found: Sequence[Model]) -> Iterator[str]:
    n_here = sum(bool(each.cached) for each in found)
    yield f"{len(found)} {'model' if len(found) == 1 else 'models'}, weights of {n_here} are on this machine."
    if about := how_known():
        yield about
