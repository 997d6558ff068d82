"""The command that shows learning-rate schedules: name, help and options only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.groups import TrainSettings
    from clfctl.settings.sources import Resolved

Subjects = Annotated[
    list[str] | None,
    typer.Argument(
        help="Kinds (cosine), expressions (`linear:2 > step`) or run folders; several are overlaid.",
        metavar="SCHEDULE|RUN",
        autocompletion=completion.subjects,
    ),
]
ListKinds = Annotated[bool, typer.Option("--list", help="List the kinds of schedule and their parameters.")]
Format = Annotated[
    str, typer.Option("--format", "-f", help="plot, table, csv or json.", autocompletion=completion.formats)
]
OutputFile = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to FILE.png, .svg, .csv or .json instead.", metavar="FILE")
]
EachBatch = Annotated[
    bool, typer.Option("--each-batch", help="csv and json have a row for each batch, not for each epoch.")
]
StepsPerEpoch = Annotated[
    int | None,
    typer.Option(help="Batches of an epoch, in place of those of the data; implies --each-batch.", min=1, metavar="N"),
]
Metrics = Annotated[
    str,
    typer.Option(
        help="What plateau and early stopping see: 0.9,0.7,…, a run folder, or FILE.csv:COLUMN.", metavar="METRICS"
    ),
]
Parameter = Annotated[
    str,
    typer.Option(
        help="What is drawn: lr, momentum, weight-decay, or group, the learning rate of each param group.",
        metavar="lr|momentum|weight-decay|group",
        autocompletion=completion.parameters,
    ),
]
WhatIf = Annotated[
    Path | None,
    typer.Option(
        help="Put the metric that this run measured through the schedules: when would each have acted?",
        metavar="RUN",
        autocompletion=completion.runs,
    ),
]
Extend = Annotated[
    str,
    typer.Option(
        help="Of a run with more epochs, show this way to go on alone; see `clfctl resume --help`.",
        metavar="stretch|hold|rewarm|anneal",
        autocompletion=completion.ways,
    ),
]
Log = Annotated[bool, typer.Option("--log/--linear", help="Learning-rate axis.")]
# Options of `train` that are not settings.
DryRun = Annotated[bool, typer.Option("--dry-run", hidden=True)]
ShowBatch = Annotated[Path | None, typer.Option("--show-batch", hidden=True)]


def lr_preview(
    settings: "Resolved[TrainSettings]",
    output: "Output",
    *,
    subjects: Subjects = None,
    list_kinds: ListKinds = False,
    format_: Format = "plot",
    output_file: OutputFile = None,
    each_batch: EachBatch = False,
    steps_per_epoch: StepsPerEpoch = None,
    metrics: Metrics = "",
    parameter: Parameter = "lr",
    what_if: WhatIf = None,
    extend: Extend = "",
    log: Log = False,
    dry_run: DryRun = False,  # noqa: ARG001 (touches no curve)
    show_batch: ShowBatch = None,  # noqa: ARG001 (touches no curve)
) -> None:
    """Show learning-rate schedules without training: any of them, several at once, or a run's past and future.

    Takes the options of `train`: a training's command with lr-preview in the place of train shows the curve of it.
    """
    from clfctl.commands.lr_preview import list_kinds as show_kinds
    from clfctl.commands.lr_preview import lr_preview as command
    from clfctl.display.preview import Look

    if list_kinds:
        show_kinds(output)
        return
    look = Look(format_, output_file, each_batch or steps_per_epoch is not None, log)
    if what_if:
        from clfctl.commands.what_if import show_what_if

        others = {"parameter": parameter != "lr", "metrics": metrics, "extend": extend}
        beside = [name for name, is_stated in others.items() if is_stated]
        show_what_if(settings, output, look, what_if, subjects or (), beside)
        return
    subjects = subjects or []
    command(
        settings, output, look,
        subjects=subjects, metrics=metrics, steps_per_epoch=steps_per_epoch, parameter=parameter, extend=extend,
    )  # fmt: skip
