"""A model that was built, what it wants to see, and whether it takes images of a size."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from clfctl.data.pixels.transform import Preprocess
from clfctl.errors import UsageError
from clfctl.settings.data import Fit, Interpolation
from clfctl.settings.image_size import ImageSize, sides

# Of a model that nobody has trained.
NEW = "new weights"


@dataclass(frozen=True)
class Built:
    """A model, what it wants to see, and in words where its first weights came from."""

    model: nn.Module
    preprocess: Preprocess
    origin: str

    @property
    def n_parameters(self) -> int:
        """Trainable and frozen parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def fitting(self, fit: Fit) -> "Built":
        """Return the same model, which sees images by another fit: whole, but for `crop`."""
        ratio = self.preprocess.crop_ratio if fit == "crop" else 1.0
        return replace(self, preprocess=replace(self.preprocess, fit=fit, crop_ratio=ratio))

    def scaling_by(self, interpolation: Interpolation) -> "Built":
        """Return the same model, which sees images that are scaled by another interpolation."""
        return replace(self, preprocess=replace(self.preprocess, interpolation=interpolation))

    def seeing_all(self) -> "Built":
        """Return the same model, which sees images whole, not by their centre."""
        return replace(self, preprocess=replace(self.preprocess, crop_ratio=1.0))


@torch.no_grad()
def refusal(model: nn.Module, image_size: ImageSize) -> Exception | None:
    """Return what a model raises for one image of `image_size` pixels, None if it takes it.

    Cheaper than knowing for 1,371 models what sizes they take. Draws no random number.
    """
    training = model.training
    try:
        model.eval()(torch.zeros(1, 3, *sides(image_size)))
    except (RuntimeError, AssertionError, ValueError, IndexError, TypeError, ZeroDivisionError) as error:
        return error
    finally:
        model.train(training)
    return None


def size_error(name: str, image_size: ImageSize, hint: str) -> UsageError:
    """Return what to raise for a size that a model does not take."""
    return UsageError(f"{name} cannot take images of {image_size} pixels", hint, field="image_size")
