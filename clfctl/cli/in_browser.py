"""The command that shows runs and asks models in the browser: name, help and options only."""

from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.groups import AppSettings
    from clfctl.settings.sources import Resolved


def app(
    settings: "Resolved[AppSettings]",
    output: "Output",
    *,
    runs_dir: Annotated[  # noqa: ARG001 (a setting: the resolver takes it)
        str | None,
        typer.Argument(
            help="Folder of runs, one run, an ensemble, or the file of a model.",
            metavar="[RUNS]",
            autocompletion=completion.folders,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Ask models about pictures, and look at runs and schedules, in the browser (needs the extra `app`)."""
    from clfctl.commands.app import app as command

    command(settings.settings, output)
