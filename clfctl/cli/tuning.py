"""The command that searches for settings: name, help and options only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.groups import TuneSettings, TuningSettings
    from clfctl.settings.sources import Resolved

SEARCH = (
    "A setting and what is searched of it: a range (lr=1e-5..1e-2:log, epochs=10..30:step=5) or a list"
    " (batch-size=16,32,64); several times, or a TOML file of them. Without it, what is worth a search for a network of"
    " that kind."
)


def tune(
    options: "Resolved[TuningSettings]",  # noqa: ARG001 (so that their panel is the first)
    settings: "Resolved[TuneSettings]",
    output: "Output",
    *,
    study: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of a study to go on with; without one, a new study is begun.",
            metavar="[STUDY]",
            autocompletion=completion.folders,
            show_default=False,
        ),
    ] = None,
    search: Annotated[  # noqa: ARG001 (a setting: the resolver takes it)
        list[str] | None,
        typer.Option(
            "--search", help=SEARCH, metavar="SETTING=VALUES|FILE.toml", rich_help_panel="Tuning", show_default=False
        ),
    ] = None,
) -> None:
    """Search for settings: trials chosen by how the others went, each a run; a study can be stopped, and go on."""
    from clfctl.commands.tune import tune as command

    command(study, settings, output)
