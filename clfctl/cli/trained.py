"""The commands that use a trained model: name, help and options only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clfctl.cli import completion
from clfctl.inference.rework_options import MAX_LOSS, N_CALIBRATED, share_of, wanted_rework

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.ensembles import EnsembleSettings, KeptEnsembleSettings
    from clfctl.settings.groups import ReportSettings
    from clfctl.settings.sources import Resolved

ModelArgument = Annotated[
    Path,
    typer.Argument(
        help="Run folder, ensemble, checkpoint, or .onnx file.", metavar="RUN|FILE", autocompletion=completion.trained
    ),
]
RunsArgument = Annotated[
    list[Path],
    typer.Argument(
        help="Run folder or ensemble; several runs, or checkpoints, answer as one.",
        metavar="RUN...",
        autocompletion=completion.measurable,
    ),
]
ImagesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="Image files, folders of images, patterns ('photos/**/*.jpg'), or - for an image on standard input; "
        "before them more runs, which answer as one with the first.",
        metavar="IMAGE|DIR|-...",
    ),
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        "-f",
        help="table, json (an array), jsonl (an object a line) or csv; without it, what --output ends in.",
        metavar="table|json|jsonl|csv",
        autocompletion=completion.prediction_formats,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write to FILE.csv, .json, .jsonl or .txt instead.", metavar="FILE"),
]
CopyOption = Annotated[
    Path | None,
    typer.Option(
        help="Copy each image to a folder of its class in DIR; nothing is moved, overwritten or deleted.",
        metavar="DIR",
        autocompletion=completion.folders,
    ),
]
THRESHOLD = "Name no class of a smaller probability; an image with none left is unsure."
INT8 = "Compute one model in whole numbers of 8 bits; accuracy and speed before and after are measured."
LOSS = "Refuse int8 if it gets more than this share of the validation images wrong that were right."
CALIBRATE = "Training images that int8 is calibrated on."
BAKE = "Resize and crop inside the file: it then takes whole pictures, of any size."
WARM = "Answer each line of standard input, a path, with a line of JSON, until its end."


def evaluate(
    settings: "Resolved[ReportSettings]",
    ensemble: "Resolved[EnsembleSettings]",
    output: "Output",
    *,
    runs: RunsArgument,
) -> None:
    """Measure a trained model on its validation or test images, or on other data, and write a report.

    Several runs are measured as one, with each of them beside the whole.
    """
    from clfctl.commands.evaluate import evaluate as command

    command(runs, ensemble.settings.ensemble, settings.settings, output)


def predict(
    ensemble: "Resolved[EnsembleSettings]",
    output: "Output",
    *,
    run: ModelArgument,
    images: ImagesArgument = None,
    top_k: Annotated[int, typer.Option(help="Classes to name for each image.", min=1)] = 3,
    threshold: Annotated[float, typer.Option(help=THRESHOLD, min=0, max=1, metavar="X")] = 0.0,
    format_: FormatOption = "",
    output_file: OutputOption = None,
    copy_to: CopyOption = None,
    batch_size: Annotated[int, typer.Option("--batch-size", "-b", help="Images at once; 0 chooses.", min=0)] = 0,
    workers: Annotated[int, typer.Option(help="Threads that decode; 0 is one a core.", min=0)] = 0,
    warm: Annotated[bool, typer.Option("--warm", help=WARM)] = False,
) -> None:
    """Name the class of images; several runs before them answer as one."""
    from clfctl.commands.predict import predict_or_warm as command
    from clfctl.commands.predict_options import PredictOptions

    options = PredictOptions(top_k, threshold, format_, output_file, copy_to, batch_size, workers)
    if not command(run, images or [], ensemble.settings.ensemble, options, output, warm=warm):
        raise typer.Exit(1)


def ensemble(
    settings: "Resolved[KeptEnsembleSettings]",
    output: "Output",
    *,
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Two or more run folders, or checkpoints.",
            metavar="RUN RUN...",
            autocompletion=completion.with_checkpoints,
        ),
    ],
) -> None:
    """Keep several trained models as one, in a folder that eval, predict, explain, export and compare take."""
    from clfctl.commands.ensemble import ensemble as command

    command(runs, settings.settings, output)


def export(
    ensemble: "Resolved[EnsembleSettings]",
    output: "Output",
    *,
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folder, ensemble, or checkpoint; several runs or checkpoints become one file.",
            metavar="RUN|FILE...",
            autocompletion=completion.exportable,
        ),
    ],
    output_file: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to this file instead of model.onnx in the run.", metavar="FILE"),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help=INT8)] = False,
    max_loss: Annotated[str | None, typer.Option(help=LOSS, metavar="SHARE", show_default=f"{MAX_LOSS:.0%}")] = None,
    calibrate: Annotated[int | None, typer.Option(help=CALIBRATE, min=1, show_default=str(N_CALIBRATED))] = None,
    bake_preprocessing: Annotated[bool, typer.Option("--bake-preprocessing", help=BAKE)] = False,
) -> None:
    """Write a trained model as ONNX: `clfctl predict` is then done before torch would have started."""
    from clfctl.commands.export import export as command

    loss = None if max_loss is None else share_of(max_loss)
    wanted = wanted_rework(int8=int8, max_loss=loss, calibrate=calibrate, bake_preprocessing=bake_preprocessing)
    command(runs, ensemble.settings.ensemble, output_file, wanted, output)
