"""The images that `clfctl eval` measures on, and what the user should know about them."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from clfctl.data.onlookers import no_line
from clfctl.data.sources.base import Data, Part
from clfctl.data.sources.content import has_same_content
from clfctl.data.sources.fingerprint import DataChange, Listing, compare, list_images, named_as, read_listing
from clfctl.data.sources.labelled import held_out, is_held_out_by_us, match, open_other
from clfctl.data.sources.names import is_named
from clfctl.data.sources.open import open_data
from clfctl.errors import ClfctlError, DataError
from clfctl.inference.trained import TrainedModel
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TrainSettings

N_FIRST = 5


@dataclass(frozen=True)
class Chosen:
    """Images with the model's labels; `is_own` tells whether they lie where the run's data does.

    `is_of_run` tells whether they are those that the run held out from its training, wherever they lie now.
    `unknown` counts the images left out because the model has no such class, `absent` are classes without images.
    """

    data: str
    split: str
    is_own: bool
    part: Part
    unknown: dict[str, int]
    absent: tuple[str, ...]
    notes: tuple[str, ...]
    is_of_run: bool = True


def choose_data(
    run: RunFolder, trained: TrainedModel, data: str | None, split: str, tell: Callable[[str], None] = no_line
) -> Chosen:
    """Open the images, label them as the model numbers its classes (matched by name), and note what is unusual.

    The run's own data is that which its settings name. Of the same images in another place only those held out are
    measured. `tell` takes a line before something that takes long. Raises UsageError or DataError if there is nothing
    to measure.
    """
    settings = trained.settings
    own: Data | None
    is_own = data is None or _is_same_place(data, settings)
    if data is None or is_own:
        with nullcontext() if data else trained.place.explaining(run, settings, "eval"):
            own = open_data(settings, settings.seed, tell)
        notes = _changes(run, settings, own, split)
    else:
        settings = settings.model_copy(update={"data": data})
        own, notes = _moved(run, trained.settings, settings, tell)
    labelled = held_out(settings.data, own, split) if own else open_other(settings, split, tell)
    notes.extend(labelled.notes)
    matched = match(labelled, trained.info.classes)
    if matched.unknown:
        n = sum(matched.unknown.values())
        what = "1 image is" if n == 1 else f"{n} images are"
        notes.append(f"{what} left out, as the model does not know the class: {_listed([*matched.unknown])}.")
    if matched.absent:
        what = f"{len(matched.absent)} of the model's {len(trained.info.classes)} classes"
        have = "has no images and is" if len(matched.absent) == 1 else "have no images and are"
        notes.append(f"{what} {have} left out of every mean: {_listed(matched.absent)}.")
    unknown, absent = matched.unknown, matched.absent
    is_of_run = own is not None
    return Chosen(settings.data, labelled.split, is_own, matched.part, unknown, absent, tuple(notes), is_of_run)


def _is_same_place(data: str, settings: TrainSettings) -> bool:
    if any(is_named(each, settings.data_dir) for each in (data, settings.data)):
        return data == settings.data
    return Path(data).resolve() == Path(settings.data).resolve()


def _moved(
    run: RunFolder, trained: TrainSettings, settings: TrainSettings, tell: Callable[[str], None]
) -> tuple[Data | None, list[str]]:
    """Return the data if it is that which the run began with, in another place; and what is to be said about that.

    Names and sizes must be the same, and the content of the sample that the run has digests of. Where the run's own
    data can still be read, the held-out images are compared byte for byte.
    """
    if not run.data.is_file():
        return None, []
    try:
        data = open_data(settings, settings.seed, tell)
        now = list_images(data, settings.data)
        before = named_as(now, read_listing(run.data))
    except ClfctlError:  # what cannot be trained on is not what was trained on
        return None, []
    if before.sizes != now.sizes:
        return None, []
    others = f"{settings.data} has images of the same names and sizes as those that the run was trained on"
    if compare(before, now):
        return None, [f"{others}, but with other content: all of its images are measured as new ones."]
    own = _own(trained, before)
    if own and not (has_same_content(own.val, data.val) and _same_test(own, data)):
        return None, [f"{others}, but with other content: all of its images are measured as new ones."]
    if not own and not before.contents and not before.is_telling:
        what = "whether they are the same cannot be told, as the run has no record of what they hold"
        return None, [f"{others}; {what}. All of its images are measured as new ones, perhaps also those trained on."]
    what = f"{settings.data} holds the same images that the run was trained on: only those held out are measured"
    return data, [f"{what} ({'by their content' if own or before.contents else 'by their names and sizes'})."]


def _own(settings: TrainSettings, before: Listing) -> Data | None:
    """Return the run's own data if it is still as it was."""
    try:
        own = open_data(settings, settings.seed)
        return None if compare(before, list_images(own, settings.data)) else own
    except ClfctlError:
        return None


def _same_test(own: Data, data: Data) -> bool:
    if own.test is None or data.test is None:
        return own.test is data.test
    return has_same_content(own.test, data.test)


def change_of(run: RunFolder, settings: TrainSettings, data: Data) -> DataChange | None:
    """Return how the data changed since the run began, if it did and its validation images were chosen by us.

    Raises DataError if the run's list of its images cannot be read.
    """
    if not is_held_out_by_us(settings) or not run.data.is_file():
        return None
    return compare(read_listing(run.data), list_images(data, settings.data)) or None


def _changes(run: RunFolder, settings: TrainSettings, data: Data, split: str) -> list[str]:
    """Return a warning if the data changed since the run began and its validation images were chosen by us."""
    if split != "val":
        return []
    try:
        change = change_of(run, settings, data)
    except DataError as error:
        return [f"Warning: {error}; so it is unknown whether the data has changed."]
    if not change:
        return []
    what = f"Warning: {settings.data} has changed since the run began: {change}"
    return [f"{what}. Some of the measured images may have been trained on."]


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:N_FIRST]) + (", …" if len(names) > N_FIRST else "")
