"""What a data set turned out to hold, before it is decided what to train on or to measure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from clfctl.data.sources.base import ImageSource
from clfctl.data.sources.parts import PartName
from clfctl.errors import DataError, shortened

S_co = TypeVar("S_co", bound=ImageSource, covariant=True)
N_SHOWN = 5


@dataclass(frozen=True)
class Found(Generic[S_co]):
    """The classes of a data set, and the images of each part that it has; labels are positions in `classes`.

    `has_fixed_classes` says that the data names its classes, whether they have images or not.
    `left_out` says why a part that exists is not among `parts`, such as "has no labels"; `notes` are sentences about
    what the user may not expect.
    """

    classes: tuple[str, ...]
    parts: Mapping[PartName, S_co]
    notes: tuple[str, ...] = ()
    left_out: Mapping[PartName, str] = field(default_factory=dict)
    has_fixed_classes: bool = False

    def all_notes(self) -> tuple[str, ...]:
        """Return the notes, and one for each part that was left out."""
        return (*self.notes, *(f"the {part} images are left out: {why}" for part, why in self.left_out.items()))


def check_trainable(found: Found[ImageSource], name: object, hint: str) -> None:
    """Raise DataError unless there are two classes, and training images of every class that has images."""
    if not found.parts:
        raise DataError(f"{name} has no images", _reasons(found) or hint, field="data")
    if "train" not in found.parts:
        others = f"it has {' and '.join(found.parts)} images only"
        raise DataError(f"{name} has no training images", _reasons(found) or f"{others}; {hint}", field="data")
    if len(found.classes) < 2:
        what = f"has only one class ({shortened(found.classes[0])})" if found.classes else "has no images"
        raise DataError(f"{name} {what}", f"a classifier needs two or more; {hint}", field="data")
    if found.has_fixed_classes:
        return
    used = set(found.parts["train"].labels)
    if missing := [each for label, each in enumerate(found.classes) if label not in used]:
        raise DataError(f"{name} has no training images of {listed(missing)}", field="data")


def listed(names: Iterable[str], n: int = N_SHOWN) -> str:
    """Return the first names, shortened, for a sentence: `a, b, c, …`."""
    names = list(names)
    return ", ".join(shortened(each, 40) for each in names[:n]) + (", …" if len(names) > n else "")


def _reasons(found: Found[ImageSource]) -> str:
    return "; ".join(f"{part}: {why}" for part, why in found.left_out.items())
