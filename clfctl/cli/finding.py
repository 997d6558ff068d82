"""The command that looks for a learning rate: name, help and options only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion
from clfctl.finding.usual import END_LR, MEANINGS, N_REPEATS, N_STEPS, START_LR, TAKEN

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.groups import TrainSettings
    from clfctl.settings.sources import Resolved


def lr_find(
    settings: "Resolved[TrainSettings]",
    output: "Output",
    *,
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Run or checkpoint that is to go on; without one, it is a new training with the options of train.",
            metavar="RUN|CHECKPOINT",
            autocompletion=completion.with_checkpoints,
            show_default=False,
        ),
    ] = None,
    start_lr: Annotated[float, typer.Option(help="Rate of the first step.", metavar="X")] = START_LR,
    end_lr: Annotated[
        float, typer.Option(help="Rate at which a sweep ends if the loss has not exploded.", metavar="X")
    ] = END_LR,
    steps: Annotated[int, typer.Option(help="Steps of a sweep.", metavar="N")] = N_STEPS,
    repeats: Annotated[int, typer.Option(help="Sweeps, each over other batches.", metavar="N")] = N_REPEATS,
    take: Annotated[
        str,
        typer.Option(
            help=f"Suggestion to take: {', '.join(MEANINGS)}.", autocompletion=completion.offer(None, tuple(MEANINGS))
        ),
    ] = TAKEN,
    format_: Annotated[
        str,
        typer.Option("--format", "-f", help="plot, table, csv or json.", autocompletion=completion.formats),
    ] = "plot",
    output_file: Annotated[
        Path | None,
        # `--plot` is what it was called first.
        typer.Option("--output", "-o", "--plot", help="Save a picture of the curves too.", metavar="FILE.png|.svg"),
    ] = None,
    write: Annotated[
        Path | None, typer.Option("--write", help="Put the rate into this TOML file.", metavar="clfctl.toml")
    ] = None,
) -> None:
    """Find a learning rate: a few hundred real training steps at rising rates, of which nothing is kept."""
    from clfctl.commands.lr_find import FindOptions
    from clfctl.commands.lr_find import lr_find as command

    command(settings, output, FindOptions(run, start_lr, end_lr, steps, repeats, take, format_, output_file, write))
