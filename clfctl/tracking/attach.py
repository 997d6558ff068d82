"""The trackers that a training's settings name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clfctl.data.loader import BadImages
from clfctl.data.onlookers import Onlookers, no_bar, no_line
from clfctl.data.sources.base import Part
from clfctl.engine.assemble import make_loader
from clfctl.engine.session import Session
from clfctl.inference.evaluate import Measured, evaluate_checkpoint
from clfctl.settings.groups import EvalSettings, TrainSettings
from clfctl.settings.tracked import missing, trackers_in
from clfctl.tracking.backend import Backend, Final
from clfctl.tracking.csv_files import CsvFiles
from clfctl.tracking.mlflow_store import MlflowStore
from clfctl.tracking.tensorboard_files import TensorBoardFiles
from clfctl.tracking.tracker import Tracker
from clfctl.tracking.wandb_files import WandbFiles
from clfctl.tracking.watcher import Trackers

BACKENDS: dict[str, Callable[[], Backend]] = {
    "tensorboard": TensorBoardFiles,
    "mlflow": MlflowStore,
    "wandb": WandbFiles,
    "csv": CsvFiles,
}
N_IMAGES = 16


def trackers_for(session: Session, tell: Callable[[str], None]) -> list[Trackers]:
    """Return the watcher of the trackers that the settings name, none if there are none.

    `tell` gets a sentence about one whose library is not there, or that fails.
    """
    settings = session.parts.settings
    found = list[Tracker]()
    for name in trackers_in(settings.track):
        if how := missing(name):
            tell(f"Warning: {name} is not installed, and is not written: {how}")
            continue
        found.append(Tracker(name, BACKENDS[name](), plain_settings(settings)))
    return [Trackers(found, lambda: final_of(session), tell)] if found else []


def plain_settings(settings: TrainSettings) -> dict[str, Any]:
    """Return the settings that are set, as trackers can hold them."""
    values = {name: getattr(settings, name) for name in TrainSettings.model_fields}
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in values.items()
        if value not in (None, "")
    }


def final_of(session: Session) -> Final | None:
    """Measure the checkpoint to use on the validation images, which is one more validation; None without any."""
    run = session.run
    if not len(session.trainer.val_loader.part):
        return None
    measured = evaluate_checkpoint(run, run.chosen, EvalSettings(), Onlookers(no_line, no_bar))
    metrics = measured.evaluation.metrics
    numbers = {"top1": metrics.top1, "loss": metrics.loss, "f1": metrics.macro.f1}
    classes = [each.name for each in metrics.classes]
    images, captions = _images(measured, classes)
    return Final(numbers, classes, metrics.confusion, images, captions)


def _images(measured: Measured, classes: list[str]) -> tuple[Any, list[str]]:
    """Return the first images, as the model sees them, with what they are and what it says."""
    outputs, trained = measured.outputs, measured.trained
    indices = outputs.indices[:N_IMAGES]
    part = Part(measured.chosen.part.source, indices.tolist())
    loader = make_loader(
        trained.settings, part, trained.info.preprocess, BadImages("error", len(part)), torch.device("cpu")
    )
    images = torch.cat([batch.images for batch in loader.batches()]).permute(0, 2, 3, 1).contiguous().numpy()
    pairs = zip(outputs.labels[:N_IMAGES].tolist(), outputs.predicted[:N_IMAGES].tolist(), strict=True)
    names = (Path(part.source.name(index)).name for index in indices.tolist())
    captions = [f"{name}: {classes[a]}, says {classes[b]}" for name, (a, b) in zip(names, pairs, strict=True)]
    return np.asarray(images, np.uint8), captions
