"""The command that puts runs beside each other: name, help and options only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.groups import EvalSettings
    from clfctl.settings.sources import Resolved


def compare(
    settings: "Resolved[EvalSettings]",
    output: "Output",
    *,
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Two or more run folders, or checkpoints.", metavar="RUN RUN...", autocompletion=completion.exportable
        ),
    ],
    measure: Annotated[
        bool,
        typer.Option(
            "--measure/--no-measure", help="Ask all of them about the same images; without it their files are compared."
        ),
    ] = True,
    sort: Annotated[
        str,
        typer.Option(
            help="Best first by top1, loss, f1, latency_ms, bytes or any metric of epochs; or by name.",
            metavar="NUMBER",
            autocompletion=completion.sorts,
        ),
    ] = "",
    output_folder: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write the page here instead of beside the runs.", metavar="DIR",
            autocompletion=completion.folders,
        ),
    ] = None,
) -> None:  # fmt: skip
    """Put runs beside each other: settings, metrics, curves, who is right where the other is wrong, which to deploy."""
    from clfctl.commands.compare import CompareOptions
    from clfctl.commands.compare import compare as command

    command(CompareOptions(runs, measure, sort, output_folder), settings.settings, output)
