"""A model's card: what is needed to use it, the same for checkpoints and ONNX files. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from clfctl.data.pixels.fit import FITS, INTERPOLATIONS
from clfctl.data.pixels.transform import Preprocess
from clfctl.errors import CheckpointError
from clfctl.settings.image_size import as_json, read_image_size

if TYPE_CHECKING:
    from clfctl.runs.checkpoint import Checkpoint

WHOLE = "whole"  # in JSON: what `pixels` are to an exported model


@dataclass(frozen=True)
class Card:
    """A model by `name`, its classes in the order of its outputs, and what it was trained to see.

    `made_of` is the checksum of the checkpoint that an exported model was made of; a checkpoint has none. The members
    of an ensemble may see an image in several ways: then `others` are those after `preprocess`, and it is asked about
    all of these pictures of an image at once. Mean and deviation are each member's own, and not said of an ensemble. An
    exported model that `takes_whole` images makes these pictures itself.
    """

    name: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    made_of: str = ""
    others: tuple[Preprocess, ...] = ()
    takes_whole: bool = False

    @property
    def views(self) -> tuple[Preprocess, ...]:
        """In which ways an image has to be seen, one for a single model."""
        return (self.preprocess, *self.others)

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads, without what a model does not have or do."""
        made_of = {"checkpoint": self.made_of} if self.made_of else {}
        others = {"other_inputs": [preprocess_as_json(each) for each in self.others]} if self.others else {}
        return {
            "model": self.name,
            "classes": self.classes,
            "preprocess": preprocess_as_json(self.preprocess),
            **made_of,
            **others,
            **({"pixels": WHOLE} if self.takes_whole else {}),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Read a card. Raises KeyError, TypeError or ValueError if it is not one; what is unknown is ignored."""
        preprocess = preprocess_from(record["preprocess"])
        others = tuple(preprocess_from(each) for each in record.get("other_inputs", ()))
        made_of = str(record.get("checkpoint", ""))
        takes_whole = record.get("pixels") == WHOLE
        return cls(str(record["model"]), tuple(record["classes"]), preprocess, made_of, others, takes_whole)


def preprocess_as_json(preprocess: Preprocess) -> dict[str, Any]:
    """Return what `preprocess_from` reads."""
    return vars(preprocess) | {"image_size": as_json(preprocess.image_size)}


def preprocess_from(saved: Mapping[str, Any]) -> Preprocess:
    """Read what a model was trained to see. Raises KeyError, TypeError or ValueError.

    What is missing is as it always was before there was a choice: bilinear, and cut out of the centre.
    """
    usual = Preprocess(read_image_size(saved["image_size"]))
    mean, std = (tuple(map(float, saved.get(name, getattr(usual, name)))) for name in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3:
        raise ValueError("mean and std are of three channels")
    interpolation, fit = saved.get("interpolation", usual.interpolation), saved.get("fit", usual.fit)
    for name, value, known in (("interpolation", interpolation, INTERPOLATIONS), ("fit", fit, FITS)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}, which this version of clfctl does not know")
    ratio = float(saved.get("crop_ratio", usual.crop_ratio))
    return Preprocess(usual.image_size, ratio, mean, std, interpolation, fit)


def card_of(checkpoint: "Checkpoint") -> Card:
    """Return the card of a checkpoint's model. Raises CheckpointError if it has none that can be read."""
    header = checkpoint.header
    try:
        return Card(header.model, header.classes, preprocess_from(header.preprocess))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{checkpoint.path} does not say what its model was trained to see: {error}") from None
