"""The command that shows what a model looks at: name, help and options only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion
from clfctl.cli.trained import ImagesArgument, ModelArgument
from clfctl.explaining.methods import DEFAULT, METHODS

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.ensembles import EnsembleSettings
    from clfctl.settings.sources import Resolved

MethodOption = Annotated[
    str,
    typer.Option(
        "--method",
        "-m",
        help="How; integrated-gradients and occlusion need the extra `explain`.",
        metavar="|".join(METHODS),
        autocompletion=completion.explaining_methods,
    ),
]
ClassOption = Annotated[
    str | None,
    typer.Option(
        "--class",
        help="Class to explain; without it the likeliest of each image.",
        metavar="NAME",
        autocompletion=completion.classes_of_run,
    ),
]
LayerOption = Annotated[
    str,
    typer.Option(
        help="Layer to look at; without it the last whose map is large enough.",
        metavar="NAME",
        autocompletion=completion.layers_of_run,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Write here instead of into the run's folder.",
        metavar="DIR",
        autocompletion=completion.folders,
    ),
]
LIST = "List the layers to choose from, and stop."
CHECK = "Test whether the maps mean something; without images, on those that the run held out."


def explain(
    ensemble: "Resolved[EnsembleSettings]",
    output: "Output",
    *,
    run: ModelArgument,
    images: ImagesArgument = None,
    method: MethodOption = DEFAULT,
    class_name: ClassOption = None,
    layer: LayerOption = "",
    list_layers: Annotated[bool, typer.Option("--list-layers", help=LIST)] = False,
    check: Annotated[bool, typer.Option("--check", help=CHECK)] = False,
    output_folder: OutputOption = None,
) -> None:
    """Show what a model looks at: heat maps over images, and as numbers; several runs before them answer as one."""
    from clfctl.commands.explain import ExplainOptions, list_layers_of
    from clfctl.commands.explain import explain as command

    options = ExplainOptions(method, class_name, layer, check, output_folder)
    if list_layers:
        list_layers_of(run, images or [], options, output)
    elif not command(run, images or [], ensemble.settings.ensemble, options, output):
        raise typer.Exit(1)
