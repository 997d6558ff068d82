"""What can be checked of a probe before torch is imported, which takes seconds."""

from collections.abc import Callable
from pathlib import Path

from clfctl.data.sources.base import Data
from clfctl.data.sources.open import open_data
from clfctl.errors import CheckpointError, UsageError
from clfctl.models.sources import SOURCES, source_of
from clfctl.planning.start import OTHERS, taken_over
from clfctl.runs.folder import CHECKPOINT_SUFFIX, RunFolder, check_new_run
from clfctl.settings.groups import TrainSettings
from clfctl.settings.probing import ProbeSettings
from clfctl.settings.sources import from_fields


def check_probe(settings: ProbeSettings, tell: Callable[[str], None]) -> Data:
    """Check names and settings, and open the data. Raises ClfctlError for what would keep the probe from beginning."""
    check_new_run(settings.runs_dir, settings.run_name)
    if settings.weights and len(settings.model) > 1:
        hint = "probe one network at a time with it"
        raise UsageError(f"one file cannot be the weights of {len(settings.model)} networks", hint, field="weights")
    for model in filter(is_trained, settings.model):
        for name in OTHERS:
            if getattr(settings, name):
                raise UsageError(f"{model} has weights of its own", f"leave out `{name}=`", field=name)
    for model in settings.model:
        source_of(training_of(settings, model).model)
    data = open_data(settings, settings.seed, tell)
    if len(data.classes) < 2:
        raise UsageError(f"{settings.data} has one class, and a probe tells classes apart", field="data")
    if not len(data.val):
        hint = "keep some images with `val_split=0.2`"
        raise UsageError("a probe is judged by validation images, and there are none", hint, field="val_split")
    counts = f"{len(data.train)} training and {len(data.val)} validation images"
    tell(f"Data   {settings.data}: {len(data.classes)} classes, {counts}")
    for note in data.notes:
        tell(f"Note   {note}")
    return data


def training_of(settings: ProbeSettings, model: str) -> TrainSettings:
    """Return the settings of a training of one network on the images that are probed, light to import.

    `model` is the name of a network, or a run or one of its checkpoints: its network then, which sees what it was
    trained to see. Raises UsageError for a folder that is not a run, CheckpointError for a run without a checkpoint.
    """
    stated = settings.model_dump(exclude_unset=True)
    fields = {name: value for name, value in stated.items() if name in TrainSettings.model_fields}
    fields |= {"model": model, "epochs": 1, "scheduler": "constant", "warmup": "0", "export": False}
    if is_trained(model):
        del fields["model"]
        fields["start_from"] = Path(model)
    try:
        return taken_over(from_fields(TrainSettings, fields)).settings
    except (UsageError, CheckpointError) as error:
        error.field = "model" if error.field == "start_from" else error.field  # as it was given here
        raise


def is_trained(model: str) -> bool:
    """Return whether a network is given as a run folder or a checkpoint, not by its name.

    A folder that is not a run may be called as a network is.
    """
    path = Path(model)
    if path.is_dir():
        return RunFolder(path).config.is_file() or not any(source.has(model) for source in SOURCES)
    return path.suffix == CHECKPOINT_SUFFIX
