"""The command that probes networks: name, help and options only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.groups import ProbeSettings
    from clfctl.settings.sources import Resolved


def probe(
    settings: "Resolved[ProbeSettings]",
    output: "Output",
    *,
    model: Annotated[  # noqa: ARG001 (a setting: the resolver takes it)
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Network to probe: a timm model or a run; several to compare them. [default: efficientnet_b0]",
            metavar="NAME|RUN",
            autocompletion=completion.models,
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Save a picture of accuracy against time.", metavar="FILE.png|.svg")
    ] = None,
) -> None:
    """Fit a classifier on a pretrained network's features: minutes become seconds, and it is a run like any other."""
    from clfctl.commands.probe import probe as command

    command(settings, plot, output)
