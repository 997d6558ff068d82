"""The command that lists models: name, help and options only."""

from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion

if TYPE_CHECKING:
    from clfctl.display.output import Output


def models(
    output: "Output",
    *,
    pattern: Annotated[
        str,
        typer.Argument(
            help="Part of a name, or a pattern with * and ?; without one, all are listed.",
            metavar="PATTERN",
            autocompletion=completion.models,
            show_default=False,
        ),
    ] = "",
    show: Annotated[
        str | None,
        typer.Option(
            help="Show one model in detail: what it sees, its parts, its weights.",
            metavar="NAME",
            autocompletion=completion.models,
        ),
    ] = None,
    cached: Annotated[
        bool, typer.Option("--cached", help="Only models whose weights are on this machine already.")
    ] = False,
) -> None:
    """List the networks: size, the images that they are made for, published weights, and whether those are here."""
    from clfctl.commands import models as command

    if show:
        command.show(show, output)
        return
    command.models(pattern, output, only_cached=cached)
