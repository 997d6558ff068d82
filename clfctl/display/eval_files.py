"""The files of an evaluation: all of them, or none."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clfctl.data.loader import BadImages
from clfctl.data.onlookers import no_line
from clfctl.data.sources.base import ImageSource, Part
from clfctl.display.batch_grid import save_grid
from clfctl.display.eval_plots import confusion_figure, drawing, reliability_figure, save_figure
from clfctl.display.report import render_report
from clfctl.engine.assemble import make_loader
from clfctl.errors import CheckpointError, UsageError
from clfctl.evaluation.outputs import Numbers
from clfctl.evaluation.predictions import save_predictions
from clfctl.evaluation.record import Mistake, confused_csv
from clfctl.explaining.mistakes import ExplainedMistakes, explain_mistakes
from clfctl.inference.evaluate import N_MISTAKES, Measured
from clfctl.inference.trained import TrainedModel
from clfctl.runs.folder import RunFolder
from clfctl.runs.history import EpochResult, read_history
from clfctl.storage.files import explained, replace_file, write_text
from clfctl.storage.folders import replacing_folder
from clfctl.storage.json_lines import read_json_lines


def pictures_of(trained: TrainedModel, source: ImageSource, indices: Numbers) -> NDArray[np.uint8] | None:
    """Return images as the model sees them (M, H, W, 3) uint8; None if there are none to show."""
    if not len(indices):
        return None
    part = Part(source, indices.tolist())
    bad, cpu = BadImages("error", len(part)), torch.device("cpu")
    loader = make_loader(trained.settings, part, trained.info.preprocess, bad, cpu)
    images = torch.cat([batch.images for batch in loader.batches()])
    return images.permute(0, 2, 3, 1).contiguous().numpy()


def save_evaluation(
    folder: Path,
    run: RunFolder | None,
    measured: Measured,
    n_explained: int = 0,
    tell: Callable[[str], None] = no_line,
) -> list[str]:
    """Write everything into `folder`, in place of what was there, and return the names of the files.

    `run` is that whose history the report shows, None for an ensemble: the pictures are then as its first member sees.
    `n_explained` of the worst mistakes are shown with heat maps; `tell` is told if the model has none.

    Raises WriteError; the old folder is untouched then.
    """
    evaluation, outputs, source = measured.evaluation, measured.outputs, measured.chosen.part.source
    pictures = pictures_of(measured.trained, source, outputs.indices[outputs.worst(N_MISTAKES)])
    maps = _explained(measured, pictures, n_explained, tell)
    history, metrics = _history(run) if run else [], evaluation.metrics
    with replacing_folder(folder) as new:
        with drawing():
            save_figure(new / "confusion.png", confusion_figure(metrics))
            save_figure(new / "reliability.png", reliability_figure(metrics.calibration))
        if pictures is not None:
            save_grid(new / "mistakes.png", pictures, [_caption(each) for each in evaluation.mistakes])
        if maps:
            captions = [_caption(each) for each in evaluation.mistakes[: len(maps.named)]]
            title = f"Grad-CAM of the layer {maps.layer}: for the class that was named, and for the true one"
            save_grid(new / "mistakes-explained.png", np.concatenate([maps.named, maps.true], axis=2), captions, title)
        with explained(new / "report.html"):
            replace_file(new / "report.html", render_report(evaluation, pictures, history, maps))
        classes = [each.name for each in metrics.classes]
        save_predictions(new, outputs, classes, source.name)
        write_text(new / "confused.csv", confused_csv(metrics))
        record = json.dumps(evaluation.as_record(), indent=2, ensure_ascii=False, allow_nan=False)
        write_text(new / "metrics.json", record + "\n")
        names = sorted((each.name for each in new.iterdir()), key=lambda name: (name != "report.html", name))
    return names


def _explained(
    measured: Measured, pictures: NDArray[np.uint8] | None, n: int, tell: Callable[[str], None]
) -> ExplainedMistakes | None:
    """Return the heat maps of the worst `n` mistakes, None without any; what keeps them from being made is told."""
    if pictures is None or not n:
        return None
    if measured.evaluation.members:
        tell("No heat maps are in the report of an ensemble; `clfctl explain` shows those of its members together.")
        return None
    outputs = measured.outputs
    worst = outputs.worst(min(n, len(pictures)))
    try:
        return explain_mistakes(
            measured.trained, pictures[: len(worst)], outputs.predicted[worst], outputs.labels[worst]
        )
    except UsageError as error:
        tell(f"No heat maps are in the report: {error.message}.")
        return None


def _history(run: RunFolder) -> list[EpochResult]:
    """Return the finished epochs, none if another program wrote the file."""
    try:
        # What names no metric is not an epoch of a training, whatever it is.
        return [each for each in read_history(read_json_lines(run.history)) if each.metrics]
    except (CheckpointError, ValueError):
        return []


def _caption(mistake: Mistake) -> str:
    return f"is {mistake.true}\nnot {mistake.predicted} ({100 * mistake.probability:.0f} %)"
