"""Training while all but the classifier is frozen: on features that are computed once, at the cost of the classifier.

The frozen network would make the same of an image in every epoch. What it makes, (N, D) float32, takes the place of the
images; what comes after, dropout and a linear layer, is trained by the same steps and with the same random numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.optim import Optimizer

from clfctl.data.loader import Batch, Loader
from clfctl.data.onlookers import Onlookers
from clfctl.data.sources.base import Data, Part
from clfctl.engine.device import seed_step
from clfctl.engine.evaluate import AS_IT_IS
from clfctl.engine.feature_store import digest_of, kept_features, key_of
from clfctl.engine.features import Pooled, Seen, classifier_of, compute_features
from clfctl.engine.frozen import begin_epoch, has_begun
from clfctl.engine.state import TrainState
from clfctl.engine.step import Stepper
from clfctl.errors import UsageError, WriteError
from clfctl.models.sources import source_of
from clfctl.settings.groups import TrainSettings
from clfctl.settings.image_size import sides
from clfctl.settings.words import value_in_words
from clfctl.storage.files import in_bytes

# More are not held in memory. The same on every machine, so that a run goes on as it began.
MOST_BYTES = 2 * 1024**3
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
class HeadOnly:
    """The epochs in which a classifier alone is trained: what they read, what they train and what makes their steps."""

    train: FeatureBatches
    val: FeatureBatches
    stepper: Stepper
    dropout: float

    def is_on(self, epoch: int) -> bool:
        """Return whether nothing but the classifier is trained in an epoch, from 0."""
        return trains_only_classifier(self.stepper.model, self.stepper.optimizer, epoch)

    def of(self, model: nn.Module) -> nn.Module:
        """Return what takes the features in the place of a model of the same frozen weights."""
        return Classifier(_layer_of(model), self.dropout)


def trains_only_classifier(model: nn.Module, optimizer: Optimizer, epoch: int) -> bool:
    """Return whether all that is trained in an epoch, from 0, belongs to a linear classifier."""
    layer = model.layer if isinstance(model, Classifier) else _layer_of(model)
    own = {id(parameter) for parameter in layer.parameters()} if isinstance(layer, nn.Linear) else set()
    groups = [group for group in optimizer.param_groups if has_begun(group, epoch)]
    return all(id(parameter) in own for group in groups for parameter in group["params"])


def obstacle(settings: TrainSettings) -> str:
    """Return the settings by which the features of a frozen network are others in each epoch, none if they are not."""
    given = {name: getattr(settings, name) for name, value in CHANGING.items() if getattr(settings, name) != value}
    return " and ".join(f"`{name}={value_in_words(value)}`" for name, value in given.items())


def head_only(
    state: TrainState, stepper: Stepper, train: Loader, val: Loader, data: Data, to: Onlookers
) -> HeadOnly | None:
    """Return how to train on features from where a training is; None where that is not what the settings ask for.

    The features are computed, or read where that was done before. Where the model, the memory or the disk does not
    permit it, `to` is told why, and the epochs go as usual. Raises what reading images raises.
    """
    settings, model, epoch = state.settings, state.model, state.cursor.epoch
    if obstacle(settings) or not trains_only_classifier(model, state.optimizer, epoch):
        return None
    begin_epoch(model, state.optimizer, epoch)
    dropout = settings.dropout or float(getattr(model, "drop_rate", 0.0))
    reason = _misfit(state, dropout, train)
    size = 4 * _layer_of(model).in_features * (len(train.part) + len(val.part)) if not reason else 0
    if size > MOST_BYTES:
        reason = f"{in_bytes(size)} of features are more than {in_bytes(MOST_BYTES)}"
    if reason:
        to.tell(f"The frozen network is computed again in every epoch: {reason}")
        return None
    compute = partial(_features, state, stepper, to)
    return HeadOnly(
        compute(replace(train, shuffle_seed=None, augment=None), data.train, shuffled=train),
        compute(val, data.val, shuffled=val),
        replace(stepper, model=Classifier(_layer_of(model), dropout), normalize=_Flat(state.precision.device)),
        dropout,
    )


@dataclass(frozen=True)
class _Flat:
    """Takes the place of `Normalize` for features."""

    device: torch.device

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Return features (B, D) on the device, of (B, D, 1, 1)."""
        return features.flatten(1).to(self.device, non_blocking=True)


def _layer_of(model: nn.Module) -> Any:
    """Return the classifier of a model, None if it does not say what that is."""
    return model.get_classifier() if hasattr(model, "get_classifier") else None  # type: ignore[operator]  # timm's


@torch.no_grad()
def _misfit(state: TrainState, dropout: float, loader: Loader) -> str:
    """Return why a model in training is more than pooled features, dropout and a linear layer; nothing if it is not.

    Tried with two images: what it draws beside, or normalizes over the batch, would be seen.
    """
    model, settings, device = state.model, state.settings, state.precision.device
    norms = [each for each in model.modules() if isinstance(each, nn.modules.batchnorm._NormBase) and each.training]
    if any(each.track_running_stats for each in norms):
        return "a batch normalization without weights goes on to learn"
    # Neither zeros nor alike.
    shape = (2, 3, *sides(loader.preprocess.image_size))
    images = torch.linspace(-1, 2, 6 * shape[2] * shape[3], device=device).reshape(shape)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        seed_step(device, settings.seed, 0)
        expected = model(images)
        try:
            layer = classifier_of(model, settings.model, loader.preprocess.image_size)
        except UsageError as error:
            return error.message
        features = Pooled(model)(images)
        seed_step(device, settings.seed, 0)
        found = Classifier(layer, dropout).train()(features)
    # Against what the features contribute, which in a new network may be far less than the bias.
    scale = (found - (0 if layer.bias is None else layer.bias)).abs().max()
    if (found - expected).abs().max() > 1e-3 * scale:
        return f"{settings.model} draws more than the dropout before its classifier"
    return ""


def _features(
    state: TrainState, stepper: Stepper, to: Onlookers, loader: Loader, part: Part, *, shuffled: Loader
) -> FeatureBatches:
    """Return the batches of `shuffled`, as features of the images of its part; `loader` reads each of them once."""
    seen, was_kept = _computed_or_kept(state, stepper, to, loader, part)
    indices = np.asarray(part.indices, np.int64)
    if was_kept and len(seen.places) < len(indices):
        # They are noted in this run too.
        unread = replace(loader, part=replace(loader.part, indices=np.delete(indices, seen.places).tolist()))
        for _ in unread.batches():
            pass
    chosen = indices[seen.places]
    row_of = np.full(len(part.source.labels), -1, np.int64)
    row_of[chosen] = np.arange(len(chosen))
    labels = torch.tensor([part.source.labels[index] for index in chosen.tolist()], dtype=torch.int64)
    return FeatureBatches(shuffled, torch.from_numpy(seen.features[0]), labels, row_of)


def _computed_or_kept(
    state: TrainState, stepper: Stepper, to: Onlookers, loader: Loader, part: Part
) -> tuple[Seen, bool]:
    """Return the features of a part, one view of each image, and whether they were there already."""
    settings, device, model = state.settings, state.precision.device, state.model
    computed: list[Seen] = []

    def compute() -> Seen:
        with to.bar("Features of the frozen network", len(part)) as advance:
            views = [(loader, AS_IT_IS)]
            computed.append(compute_features(model, views, state.precision, stepper.normalize, advance))
        return computed[-1]

    # All that decides on the last bit: whether they are computed again or not, a run goes on with the same.
    exact = f"{state.precision.dtype} ({settings.amp}{', deterministic' if settings.deterministic else ''})"
    how = f"{exact}, {settings.batch_size} at a time on {device.type} by {torch.get_num_threads()} threads"
    weights = digest_of(model, source_of(settings.model).head(model))
    try:
        key = key_of(weights, how, loader.preprocess, 1, part)
    except TypeError:  # of a source that has no digest
        return compute(), False
    try:
        folder = settings.cache_dir and settings.cache_dir / "features"
        return kept_features(folder, settings.model, key, compute, to.tell)
    except WriteError as error:
        to.tell(f"The features of the frozen network are not kept for the next time: {error}")
        return computed[-1] if computed else compute(), False
