"""Epochs in which all but the classifier is frozen: they read features in the place of images, and cost what it costs.

The frozen network would make the same of an image in every epoch. What it makes, (N, D) float32, takes the place of the
images; what comes after, dropout and a linear layer, is trained by the same steps and with the same random numbers.
`read_features.py` finds out whether that holds, and computes the features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.optim import Optimizer

from clfctl.data.loader import Batch, Loader
from clfctl.engine.features import head_of
from clfctl.engine.frozen import has_begun
from clfctl.engine.step import Stepper
from clfctl.settings.groups import TrainSettings
from clfctl.settings.words import value_in_words

# Settings by which an epoch sees other images, makes something else of them or needs them for more, with the value by
# which it does not.
CHANGING = {"augment": "none", "random_erasing": 0, "mixup": 0, "cutmix": 0, "drop_path": 0, "distill": None}


class Classifier(nn.Module):
    """What is trained of a model, and is its own: the dropout before its last layer, and that."""

    def __init__(self, layer: nn.Linear, dropout: float) -> None:
        super().__init__()
        self.layer, self.dropout = layer, dropout

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits (B, n_classes) of pooled features (B, D)."""
        logits: torch.Tensor = self.layer(functional.dropout(features, self.dropout, self.training))
        return logits


@dataclass(frozen=True)
class FeatureBatches:
    """The batches of a loader with features in the place of images: (B, D, 1, 1) float32, as of a single pixel.

    `row_of` has the row of each image of the source in `features` (N, D) and `labels` (N,), -1 where it has none.
    """

    loader: Loader
    features: torch.Tensor
    labels: torch.Tensor
    row_of: NDArray[np.int64]

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from batch `start` on: of the images that the loader would have read."""
        for indices in self.loader.drawn(epoch, start):
            rows = self.row_of[indices]
            is_there = rows >= 0
            chosen = torch.from_numpy(rows[is_there])
            yield Batch(self.features[chosen][:, :, None, None], self.labels[chosen], indices[is_there].tolist())


@dataclass(frozen=True)
class Flat:
    """Takes the place of `Normalize` for features."""

    device: torch.device

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Return features (B, D) on the device, of (B, D, 1, 1)."""
        return features.flatten(1).to(self.device, non_blocking=True)


@dataclass(frozen=True)
class HeadOnly:
    """What the epochs read in which a classifier alone is trained, and what makes their steps."""

    train: FeatureBatches
    val: FeatureBatches
    stepper: Stepper
    dropout: float

    def is_on(self, epoch: int) -> bool:
        """Return whether nothing but the classifier is trained in an epoch, from 0."""
        return trains_only_classifier(self.stepper.model, self.stepper.optimizer, epoch)

    def of(self, model: nn.Module) -> nn.Module:
        """Return what takes the features in the place of a model of the same frozen weights."""
        return Classifier(layer_of(model), self.dropout)


def trains_only_classifier(model: nn.Module, optimizer: Optimizer, epoch: int) -> bool:
    """Return whether all that is trained in an epoch, from 0, belongs to a linear classifier."""
    layer = layer_of(model)
    own = {id(parameter) for parameter in layer.parameters()} if isinstance(layer, nn.Linear) else set()
    groups = [group for group in optimizer.param_groups if has_begun(group, epoch)]
    return all(id(parameter) in own for group in groups for parameter in group["params"])


def layer_of(model: nn.Module) -> Any:
    """Return the classifier of a model, None if it does not say what that is."""
    if isinstance(model, Classifier):
        return model.layer
    return head_of(model)


def obstacle(settings: TrainSettings) -> str:
    """Return the settings by which the features of a frozen network are others in each epoch, none if they are not."""
    given = {name: getattr(settings, name) for name, value in CHANGING.items() if getattr(settings, name) != value}
    if not settings.distill_weight:
        given.pop("distill", None)
    return " and ".join(f"`{name}={value_in_words(value)}`" for name, value in given.items())
