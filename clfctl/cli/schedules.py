"""The command that shows learning-rate schedules: name, help and options only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.groups import PlanSettings
    from clfctl.settings.sources import Resolved


def lr_preview(
    settings: "Resolved[PlanSettings]",
    output: "Output",
    *,
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            help="Kinds (cosine), expressions (`linear:2 > step`) or run folders; several are overlaid.",
            metavar="SCHEDULE|RUN",
            autocompletion=completion.subjects,
        ),
    ] = None,
    list_kinds: Annotated[
        bool, typer.Option("--list", help="List the kinds of schedule and their parameters.")
    ] = False,
    format_: Annotated[
        str, typer.Option("--format", "-f", help="plot, table, csv or json.", autocompletion=completion.formats)
    ] = "plot",
    output_file: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to FILE.png, .svg, .csv or .json instead.", metavar="FILE"),
    ] = None,
    steps_per_epoch: Annotated[
        int | None, typer.Option(help="Batches of an epoch: csv and json have the rate of each.", min=1, metavar="N")
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            help="What plateau and early stopping see: 0.9,0.7,…, a run folder, or FILE.csv:COLUMN.", metavar="METRICS"
        ),
    ] = "",
    log: Annotated[bool, typer.Option("--log/--linear", help="Learning-rate axis.")] = False,
) -> None:
    """Show learning-rate schedules without training: any of them, several at once, or a run's past and future."""
    from clfctl.commands.lr_preview import PreviewOptions
    from clfctl.commands.lr_preview import list_kinds as show_kinds
    from clfctl.commands.lr_preview import lr_preview as command

    if list_kinds:
        show_kinds(output)
        return
    options = PreviewOptions(subjects or (), format_, output_file, steps_per_epoch, metrics, log)
    command(settings, output, options)
