"""The model of a checkpoint, ready to be asked."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from clfctl.engine.device import Precision, pick_device, pick_precision
from clfctl.engine.memory_format import lay_out
from clfctl.engine.saving import card_of, load_model, saved_settings
from clfctl.errors import CheckpointError, DamagedError
from clfctl.models.card import Card
from clfctl.models.factory import rebuild_model
from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TrainSettings


@dataclass(frozen=True)
class Trained:
    """The model of a checkpoint, ready to be asked, the file that it came from, and its finished epochs.

    `notes` are sentences about settings of another version of clfctl.
    """

    file: Path
    settings: TrainSettings
    info: Card
    model: nn.Module
    precision: Precision
    n_epochs: int
    notes: tuple[str, ...] = ()


def load_trained(run: RunFolder, file: Path | None = None, device: str | None = None) -> Trained:
    """Load a checkpoint, by default the best of a run, or the last where there is none, on the device of its training.

    Raises CheckpointError if it cannot be used, UsageError if there is no such device.
    """
    file = file or run.chosen
    try:
        checkpoint = load_checkpoint(file)
    except DamagedError as error:
        # Not of itself: another model that answers in its place would not be noticed.
        raise CheckpointError(str(error), f"remove {file} to use the last one" if file == run.best else "") from None
    (settings, notes), info = saved_settings(checkpoint), card_of(checkpoint)
    place = pick_device(device or settings.device)
    # What was trained in fp16 on a GPU is computed in full elsewhere.
    precision = pick_precision("off" if settings.amp == "fp16" and place.type != "cuda" else settings.amp, place)
    model = rebuild_model(info.name, len(info.classes), settings, info.preprocess.image_size)
    load_model(model, checkpoint)
    lay_out(model, precision.device, checkpoint.header.memory_format)
    return Trained(file, settings, info, model.eval(), precision, len(checkpoint.header.history), notes)
