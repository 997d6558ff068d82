"""The command that shows runs and asks models in the browser: name, help and options only."""

from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.running import RunsDirSettings
    from clfctl.settings.sources import Resolved

HOST = "Address to listen at: 127.0.0.1 is for this machine alone, 0.0.0.0 for all that can reach it."


def app(
    settings: "Resolved[RunsDirSettings]",
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
    host: Annotated[str, typer.Option(help=HOST, metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes any that is free.", min=0, max=65535)] = 8501,
    max_megabytes: Annotated[
        int, typer.Option(help="Millions of bytes of the largest picture that is taken.", min=1, metavar="N")
    ] = 32,
    max_megapixels: Annotated[
        int, typer.Option(help="Millions of pixels of the largest picture that is decoded.", min=1, metavar="N")
    ] = 50,
    max_model_megabytes: Annotated[
        int, typer.Option(help="Millions of bytes of the largest model that is taken.", min=1, metavar="N")
    ] = 500,
) -> None:
    """Ask models about pictures, and look at runs and schedules, in the browser (needs the extra `app`)."""
    from clfctl.commands.app import AppOptions
    from clfctl.commands.app import app as command

    options = AppOptions(host, port, max_megabytes, max_megapixels, max_model_megabytes)
    command(settings.settings.runs_dir, options, output)
