"""The model of a checkpoint, ready to be asked."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from clfctl.engine.device import OF_CUDA, Precision, pick_device, pick_precision
from clfctl.engine.memory_format import lay_out
from clfctl.engine.saving import load_model, saved_settings
from clfctl.errors import CheckpointError, DamagedError
from clfctl.models.card import Card, card_of
from clfctl.models.factory import rebuild_model
from clfctl.planning.place import Place, place_of
from clfctl.runs.checkpoint import load_checkpoint, used_part
from clfctl.runs.folder import RunFolder, run_of
from clfctl.runs.header import last_or_previous, read_last
from clfctl.settings.groups import TrainSettings


@dataclass(frozen=True)
class TrainedModel:
    """The model of a checkpoint, ready to be asked, the file that it came from, and its finished epochs.

    Relative paths in the settings lead from the working folder; `place` is where the run has them from. `notes` are
    sentences about settings of another version of clfctl.
    """

    file: Path
    settings: TrainSettings
    info: Card
    model: nn.Module
    precision: Precision
    n_epochs: int
    place: Place
    notes: tuple[str, ...] = ()


def load_trained(
    run: RunFolder, file: Path | None = None, device: str | None = None, home: RunFolder | None = None
) -> TrainedModel:
    """Load a checkpoint, by default the best of a run, or the last where there is none, on the device of its training.

    `home` is the run that it is from, where it does not lie in its run any more. Raises CheckpointError if it cannot be
    used, UsageError if there is no such device.
    """
    file = file or run.chosen
    try:
        checkpoint = load_checkpoint(file)
    except DamagedError as error:
        # Not of itself: another model that answers in its place would not be noticed.
        raise CheckpointError(str(error), f"remove {file} to use the last one" if file == run.best else "") from None
    (settings, notes), info = saved_settings(checkpoint), card_of(checkpoint)
    place = place_of(home or run_of(file.absolute()), checkpoint.header)
    settings = place.here(_with_data_of(run, settings) if file == run.best else settings)
    chosen = pick_device(device or settings.device)
    # What was trained in fp16 on a GPU is computed in full elsewhere.
    precision = pick_precision("off" if settings.amp in OF_CUDA and chosen.type != "cuda" else settings.amp, chosen)
    model = rebuild_model(info.name, len(info.classes), settings, info.preprocess.image_size)
    used = used_part(checkpoint)
    load_model(model, checkpoint, used.prefix)
    notes = (*notes, f"{file.name} is used with {used.words}, as in validation") if used.words else notes
    if epochs := ", ".join(map(str, checkpoint.header.soup)):
        notes = (*notes, f"{file.name} is a soup, the mean of the weights of epochs {epochs}")
    lay_out(model, precision.device, checkpoint.header.memory_format)
    return TrainedModel(file, settings, info, model.eval(), precision, len(checkpoint.header.history), place, notes)


def _with_data_of(run: RunFolder, settings: TrainSettings) -> TrainSettings:
    """Return the settings of a best checkpoint with the data that the run has now: it may have moved since."""
    try:
        last, _ = last_or_previous(run.last, read_last, (OSError, ValueError))
    except (OSError, ValueError):
        return settings
    now = {name: last.settings[name] for name in ("data", "data_dir") if name in last.settings}
    return settings.model_copy(update=now | {"data_dir": Path(now.get("data_dir", settings.data_dir))})
