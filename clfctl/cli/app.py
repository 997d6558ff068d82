"""The commands: name, help and options only; each body imports what it runs. `main` is the program.

What is done with a trained model is in cli_trained.py.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clfctl import __version__
from clfctl.cli import completion
from clfctl.cli.options import option_rules, with_settings, without_settings
from clfctl.cli.reporting import leave_hanging_threads, reporting
from clfctl.cli.trained import export, predict

if TYPE_CHECKING:
    from clfctl.settings.groups import (
        BenchSettings,
        EvalSettings,
        OutputSettings,
        PlanSettings,
        ResumeSettings,
        RunsDirSettings,
        TrainSettings,
    )
    from clfctl.settings.sources import Resolved

RunArgument = Annotated[Path, typer.Argument(help="Run folder.", metavar="RUN", autocompletion=completion.runs)]
ShowBatch = Annotated[
    Path | None,
    typer.Option(
        "--show-batch", help="Save a picture of the first batch as the model sees it, and stop.", metavar="FILE"
    ),
]
GOMP_SPINCOUNT = "1000"
EPILOG = "Every option can also be set as CLFCTL_OPTION in the environment or in .env, or in clfctl.toml."


def train(
    settings: "Resolved[TrainSettings]",
    output: "Resolved[OutputSettings]",
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show settings, curve and model size, and stop.")
    ] = False,
    show_batch: ShowBatch = None,
) -> None:
    """Train an image classifier."""
    from clfctl.commands import train as command

    if show_batch:
        from clfctl.commands.show_batch import show_batch as show

        show(settings.settings, show_batch, output.settings)
        return

    (command.dry_run if dry_run else command.train)(settings, output.settings)


def lr_preview(
    settings: "Resolved[PlanSettings]",
    output: "Resolved[OutputSettings]",
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
        show_kinds(output.settings)
        return
    options = PreviewOptions(subjects or (), format_, output_file, steps_per_epoch, metrics, log)
    command(settings, output.settings, options)


def resume(
    settings: "Resolved[ResumeSettings]",
    runs_dir: "Resolved[RunsDirSettings]",
    output: "Resolved[OutputSettings]",
    *,
    allow_data_change: Annotated[
        bool, typer.Option("--allow-data-change", help="Go on although image files were added, removed or replaced.")
    ] = False,
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Run folder; without one, the newest unfinished run is offered.",
            metavar="RUN",
            autocompletion=completion.runs,
        ),
    ] = None,
) -> None:
    """Go on with a run that was stopped, exactly where it was; options change it from there on."""
    from clfctl.commands.resume import resume as command
    from clfctl.planning.changes import stated_in

    command(run, runs_dir.settings.runs_dir, stated_in(settings), output.settings, allow_data_change=allow_data_change)


def runs(
    settings: "Resolved[RunsDirSettings]",
    output: "Resolved[OutputSettings]",
    *,
    runs_dir: Annotated[  # noqa: ARG001 (a setting: the resolver takes it)
        str | None,
        typer.Argument(
            help="Folder of runs, or one run.", metavar="[DIR]", autocompletion=completion.folders, show_default=False
        ),
    ] = None,
) -> None:
    """List runs: running, finished, interrupted or failed, and how far they are."""
    from clfctl.commands.runs import runs as command

    command(settings.settings.runs_dir, output.settings)


def evaluate(
    settings: "Resolved[EvalSettings]",
    output: "Resolved[OutputSettings]",
    *,
    run: RunArgument,
) -> None:
    """Measure a trained model on its validation or test images, or on other data, and write a report."""
    from clfctl.commands.evaluate import evaluate as command

    command(run, settings.settings, output.settings)


def check_data(
    output: "Resolved[OutputSettings]",
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

    if command(folder, CheckOptions(quarantine, undo, min_size, workers), output.settings):
        raise typer.Exit(1)


def bench_data(
    settings: "Resolved[BenchSettings]",
    output: "Resolved[OutputSettings]",
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
            help="Seconds of each measuring window; unset: so many that all takes about a minute.", min=0.01, max=600
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

    command(settings, output.settings, BenchOptions(against or (), seconds, write, plot, show_batch))


# Name, function, and the settings groups whose fields are its options.
COMMANDS: tuple[tuple[str, Callable[..., None], tuple[str, ...]], ...] = (
    ("train", train, ("TrainSettings", "OutputSettings")),
    ("resume", resume, ("ResumeSettings", "RunsDirSettings", "OutputSettings")),
    ("runs", runs, ("RunsDirSettings", "OutputSettings")),
    ("lr-preview", lr_preview, ("PlanSettings", "OutputSettings")),
    ("eval", evaluate, ("EvalSettings", "OutputSettings")),
    ("predict", predict, ("OutputSettings",)),
    ("export", export, ("OutputSettings",)),
    ("check-data", check_data, ("OutputSettings",)),
    ("bench-data", bench_data, ("BenchSettings", "OutputSettings")),
)


def make_app(only: str | None = None) -> typer.Typer:
    """Return the program with the options of every command, or of the command `only` (declaring them costs 0.1 s)."""
    app = typer.Typer(
        name="clfctl",
        help="Train image classifiers, with a learning rate that is never a surprise.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings=option_rules(),
    )
    app.callback()(_program)
    for name, function, groups in COMMANDS:
        is_wanted = only in (None, name)
        command = with_settings(function, groups) if is_wanted else without_settings(function)
        rules = option_rules(groups if is_wanted else ())
        # What a run was made with counts there, not the environment or the files of today.
        epilog = None if name in ("resume", "eval") else EPILOG
        app.command(name, epilog=epilog, context_settings=rules)(reporting(command))
    return app


def wanted_command(words: list[str]) -> str:
    """Return the command among the words of a command line: the first that is no option."""
    return next((word.replace("_", "-") for word in words if not word.startswith("-")), "")


def main() -> None:
    """Run the program on the process's command line."""
    # libgomp's threads spin while they wait, 300,000 rounds by default: alone that gains 4 %, but two trainings on two
    # cores came down to 16 images/s each instead of 250. Read when torch is first imported.
    os.environ.setdefault("GOMP_SPINCOUNT", GOMP_SPINCOUNT)
    completing = os.environ.get("_CLFCTL_COMPLETE")
    words = os.environ.get("COMP_WORDS", os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()
    try:
        make_app(wanted_command(words[1:] if completing else sys.argv[1:]))(prog_name="clfctl")
    except SystemExit as end:
        leave_hanging_threads(end.code)
        raise


def _version(wanted: bool) -> None:
    if wanted:
        print(f"clfctl {__version__}")
        raise typer.Exit


def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass
