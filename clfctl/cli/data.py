"""The commands that look at data: name, help and options only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion
from clfctl.cli.arguments import ShowBatch

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.groups import BenchSettings
    from clfctl.settings.sources import Resolved


def check_data(
    output: "Output",
    *,
    folder: Annotated[
        Path, typer.Argument(help="Folder or table of images.", metavar="DIR|FILE", autocompletion=completion.tables)
    ],
    quarantine: Annotated[
        Path | None,
        typer.Option(
            help="Move what is found to this folder, outside of the images; nothing is deleted or overwritten.",
            metavar="DIR",
            autocompletion=completion.folders,
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Move what is in the quarantine back to where it was.")] = False,
    min_size: Annotated[
        int, typer.Option(help="Shortest side in pixels of an image that is not called tiny.", min=0)
    ] = 8,
    workers: Annotated[int, typer.Option(help="Threads that decode; 0 is one a core.", min=0)] = 0,
) -> None:
    """Find images that are broken, tiny, there twice, in two classes, or in training and validation."""
    from clfctl.commands.check_data import CheckOptions
    from clfctl.commands.check_data import check_data as command

    if command(folder, CheckOptions(quarantine, undo, min_size, workers), output):
        raise typer.Exit(1)


def bench_data(
    settings: "Resolved[BenchSettings]",
    output: "Output",
    *,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="Another loader to compare with, in turns: torchvision or dali.", autocompletion=completion.rivals
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="Seconds of each measuring window; unset: chosen so that everything takes about a minute.",
            min=0.01,
            max=600,
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(help="Keep what is recommended in a TOML file, as clfctl.toml.", metavar="FILE"),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a bar chart, FILE.png or .svg.", metavar="FILE")] = None,
    show_batch: ShowBatch = None,
) -> None:
    """Measure how fast images can be fed, what limits that, and what to set."""
    from clfctl.bench.options import BenchOptions
    from clfctl.commands.bench_data import bench_data as command

    command(settings, output, BenchOptions(against or (), seconds, write, plot, show_batch))
