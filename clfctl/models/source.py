"""What a place that models come from has to offer. Light: names are asked for before torch is imported."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from clfctl.settings.image_size import Auto, ImageSize
from clfctl.settings.network import ModelSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from clfctl.models.built import Built


class ModelSource(Protocol):
    """Where models come from: `clfctl.models.sources.SOURCES` lists them, and the first that has a name builds it."""

    hint: str
    """How its models are named, for the message about a name that no source has."""

    def names(self) -> Sequence[str]:
        """Return the names to offer; costs no import of a library."""
        ...

    def has(self, name: str) -> bool:
        """Return whether it builds the model of that name. Raises UsageError if the name alone shows that it cannot."""
        ...

    def build(self, settings: ModelSettings, n_classes: int, image_size: ImageSize | Auto) -> "Built":
        """Return a model with first weights, new or published; what cannot be is found before anything is downloaded.

        It sees what it was made to see; `image_size` "auto" is its own.

        Raises UsageError for settings that the model cannot go by, ModelError if it cannot be had.
        """
        ...

    def rebuild(self, name: str, n_classes: int, settings: ModelSettings, image_size: ImageSize) -> "nn.Module":
        """Return the model as `build` made it, without weights worth keeping: to be filled from a checkpoint."""
        ...

    def head(self, model: "nn.Module") -> set[str]:
        """Return the names of the tensors whose shape depends on the number of classes."""
        ...

    def layers(self, model: "nn.Module") -> "Mapping[str, int]":
        """Return the layer group of every parameter by its name: 0 is the one that sees the images first."""
        ...

    def adapted(self, model: "nn.Module", tensors: "Mapping[str, Tensor]") -> "Mapping[str, Tensor]":
        """Return what the model makes of weights that do not fit it, or the same ones; may raise any exception."""
        ...
