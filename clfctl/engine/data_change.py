"""How the images of a run differ from those that it began with, and whether it may go on with them."""

from clfctl.data.sources.base import Data
from clfctl.data.sources.fingerprint import DataChange, compare, list_images, read_listing
from clfctl.errors import DataError
from clfctl.runs.checkpoint import Checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TrainSettings


def data_change(
    run: RunFolder, data: Data, settings: TrainSettings, checkpoint: Checkpoint, *, is_allowed: bool
) -> DataChange:
    """Return how the images differ from those that the run began with. Raises DataError where that is not allowed."""
    before = checkpoint.header.classes
    if data.classes != before:
        more, less = sorted(set(data.classes) - set(before)), sorted(set(before) - set(data.classes))
        parts = [f"{what}: {', '.join(each)}" for what, each in (("new", more), ("missing", less)) if each]
        why = "the model has one output for each class it began with"
        hint = f"{why}; train a new run that starts from this one: `start_from={run.path}`"
        message = f"the class folders of {settings.data} are not those that the run began with ({'; '.join(parts)})"
        raise DataError(message, hint, field="data")
    now = list_images(data, settings.data)
    try:
        change = compare(read_listing(run.data), now)
    except DataError:
        if not is_allowed:
            raise
        change = DataChange((), (), ())
    if change and not is_allowed:
        hint = "images kept for validation may have been trained on; go on all the same with `allow_data_change=True`"
        raise DataError(f"{settings.data} has changed since the run began: {change}", hint, field="data")
    return change
