"""A run's own images, with the labels that its model knows: for what is judged on those that it held out."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from clfctl.data.sources.base import Data, Part
from clfctl.data.sources.labelled import Labelled, match
from clfctl.errors import DataError, ModelError
from clfctl.inference.eval_images import change_of
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TrainSettings


def as_trained(
    run: RunFolder, settings: TrainSettings, classes: Sequence[str], data: Data, tell: Callable[[str], None]
) -> Data:
    """Return the run's data as it lies there now, with labels that are numbers of the model's `classes`, by name.

    Raises ModelError where validation images are drawn from data that has changed since: they may have been trained on.
    """
    try:
        change = change_of(run, settings, data)
    except DataError as error:
        tell(f"Warning: {error}; so it is unknown whether the data has changed.")
        change = None
    if change:
        why = "the images that int8 would be judged on may have been trained on"
        hint = f"{why}; export without `int8=True`, or with the images as they were"
        raise ModelError(f"{settings.data} has changed since the run began: {change}", hint, field="int8")

    def known(part: Part, what: str) -> Part:
        if not len(part):
            return part
        matched = match(Labelled(data.classes, part, what), classes)
        if n := sum(matched.unknown.values()):
            are = "1 image is" if n == 1 else f"{n} images are"
            tell(f"{are} left out of the {what} images, as the model does not know the class.")
        return matched.part

    train, val = known(data.train, "training"), known(data.val, "validation")
    test = known(data.test, "test") if data.test and not len(val) else data.test
    return replace(data, classes=tuple(classes), train=train, val=val, test=test)
