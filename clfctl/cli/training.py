"""The commands that train: name, help and options only; each body imports what it runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion
from clfctl.cli.arguments import RunArgument, ShowBatch

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.branching import BranchSettings
    from clfctl.settings.groups import ResumeSettings, TrainSettings
    from clfctl.settings.running import RunsDirSettings
    from clfctl.settings.sources import Resolved


def train(
    settings: "Resolved[TrainSettings]",
    output: "Output",
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
        from clfctl.planning.start import taken_over

        show(taken_over(settings).settings, show_batch, output)
        return

    (command.dry_run if dry_run else command.train)(settings, output)


AllowDataChange = Annotated[
    bool, typer.Option("--allow-data-change", help="Go on although image files were added, removed or replaced.")
]


def resume(
    settings: "Resolved[ResumeSettings]",
    runs_dir: "Resolved[RunsDirSettings]",
    output: "Output",
    *,
    allow_data_change: AllowDataChange = False,
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

    command(run, runs_dir.settings.runs_dir, stated_in(settings), output, allow_data_change=allow_data_change)


def branch(
    settings: "Resolved[BranchSettings]",
    output: "Output",
    *,
    run: RunArgument,
    allow_data_change: AllowDataChange = False,
) -> None:
    """Train a new run from a checkpoint of another, its learning rate falling: what if that one stopped now?

    The other run is only read, and may go on training meanwhile.
    """
    from clfctl.commands.branch import branch as command

    command(run, settings.settings, output, allow_data_change=allow_data_change)


def debug_batch(
    output: "Output",
    *,
    run: RunArgument,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="First make the steps from the last checkpoint to the batch again, without saving them."
        ),
    ] = False,
) -> None:
    """Compute the batch again whose loss was not finite: which images, which layer, which gradients."""
    from clfctl.commands.debug_batch import debug_batch as command

    command(run, output, exact=exact)


def runs(
    settings: "Resolved[RunsDirSettings]",
    output: "Output",
    *,
    runs_dir: Annotated[  # noqa: ARG001 (a setting: the resolver takes it)
        str | None,
        typer.Argument(
            help="Folder of runs, or one run.", metavar="[DIR]", autocompletion=completion.folders, show_default=False
        ),
    ] = None,
    tree: Annotated[
        bool, typer.Option("--tree", help="Draw branches below the runs that they leave, with where.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on showing them, with rates and the time left, until Ctrl-C.")
    ] = False,
) -> None:
    """List runs: running, finished, interrupted or failed, and how far they are."""
    if watch:
        from clfctl.commands.watch_runs import watch_runs as command
    else:
        from clfctl.commands.runs import runs as command

    command(settings.settings.runs_dir, output, tree=tree)
