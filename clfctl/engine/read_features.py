"""Whether a training can read the features of a frozen network in the place of images, and then these features."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from clfctl.data.loader import Loader
from clfctl.data.onlookers import Onlookers
from clfctl.data.sources.base import Data, Part
from clfctl.engine.device import seed_step
from clfctl.engine.evaluate import AS_IT_IS
from clfctl.engine.feature_store import digest_of, kept_features, key_of
from clfctl.engine.features import IN_MEMORY, Pooled, Seen, classifier_of, compute_features
from clfctl.engine.head_only import (
    Classifier,
    FeatureBatches,
    Flat,
    HeadOnly,
    layer_of,
    obstacle,
    trains_only_classifier,
)
from clfctl.engine.state import TrainState
from clfctl.engine.trainer import Trainer
from clfctl.errors import UsageError
from clfctl.models.sources import source_of
from clfctl.settings.image_size import sides
from clfctl.storage.files import in_bytes


def read_features(trainer: Trainer, data: Data, to: Onlookers, *, is_trial: bool = False) -> bool:
    """Let a trainer read features where epochs from its own on need nothing else; return whether that is so.

    The features are computed, or read where that was done before; in a trial they are all 0, which takes no time. Where
    the model or the memory does not permit it, `to` is told why, and the epochs go as usual. Raises what reading images
    raises.
    """
    state, train, val = trainer.state, trainer.train_loader, trainer.val_loader
    settings, model = state.settings, state.model
    trainer.features = None
    if obstacle(settings) or not trains_only_classifier(model, state.optimizer, state.cursor.epoch):
        return False
    trainer.begin(state.cursor.epoch)
    dropout = settings.dropout or float(getattr(model, "drop_rate", 0.0))
    excess = _excess(layer_of(model), len(train.part) + len(val.part))
    reason = excess or _other_averages(state) or _misfit(trainer, dropout)
    if reason:
        to.tell(f"The frozen network is computed again in every epoch: {reason}")
        return False
    of_train, of_val = (
        _none(model, part) if is_trial else _computed_or_kept(trainer, to, loader, part)
        for loader, part in ((replace(train, shuffle_seed=None, augment=None), data.train), (val, data.val))
    )
    trainer.features = HeadOnly(
        _batches(of_train, train, data.train),
        _batches(of_val, val, data.val),
        replace(trainer.whole, model=Classifier(layer_of(model), dropout), normalize=Flat(state.precision.device)),
        dropout,
    )
    return True


def _excess(layer: nn.Linear, n_images: int) -> str:
    size = 4 * layer.in_features * n_images
    return f"{in_bytes(size)} of features are more than {in_bytes(IN_MEMORY)}" if size > IN_MEMORY else ""


def _other_averages(state: TrainState) -> str:
    """Return why averages make other features than the model: they began before the rest was frozen; else nothing."""
    averages = [state.ema, state.mean if state.mean and state.mean.n_epochs else None]
    head = source_of(state.settings.model).head(state.model)
    if any(each and digest_of(each.model, head) != digest_of(state.model, head) for each in averages):
        return "an average of the weights is still of those that the network had before"
    return ""


@torch.no_grad()
def _misfit(trainer: Trainer, dropout: float) -> str:
    """Return why a model in training is more than pooled features, dropout and a linear layer; nothing if it is not.

    Tried with two images: what it draws beside, or normalizes over the batch, would be seen.
    """
    state, size = trainer.state, trainer.val_loader.preprocess.image_size
    model, settings, device = state.model, state.settings, state.precision.device
    norms = [each for each in model.modules() if isinstance(each, nn.modules.batchnorm._NormBase) and each.training]
    if any(each.track_running_stats for each in norms):
        return "a batch normalization without weights goes on to learn"
    # Neither zeros nor alike.
    shape = (2, 3, *sides(size))
    images = torch.linspace(-1, 2, 6 * shape[2] * shape[3], device=device).reshape(shape)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        seed_step(device, settings.seed, 0)
        expected = model(images)
        try:
            layer = classifier_of(model, settings.model, size)
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


def _batches(seen: Seen, loader: Loader, part: Part) -> FeatureBatches:
    """Return the batches of a loader, as features of the images of its part."""
    indices = np.asarray(part.indices, np.int64)[seen.places]
    row_of = np.full(len(part.source.labels), -1, np.int64)
    row_of[indices] = np.arange(len(indices))
    labels = torch.tensor([part.source.labels[index] for index in indices.tolist()], dtype=torch.int64)
    return FeatureBatches(loader, torch.from_numpy(seen.features[0]), labels, row_of)


def _none(model: nn.Module, part: Part) -> Seen:
    return Seen(np.zeros((1, len(part), layer_of(model).in_features), np.float32), np.arange(len(part)))


def _computed_or_kept(trainer: Trainer, to: Onlookers, loader: Loader, part: Part) -> Seen:
    """Return the features of a part, one view of each image; `loader` reads each of them once."""
    state, settings, model = trainer.state, trainer.state.settings, trainer.state.model

    def compute() -> Seen:
        with to.bar("Features of the frozen network", len(part)) as advance:
            return compute_features(Pooled(model), [(loader, AS_IT_IS)], state.precision, trainer.normalize, advance)

    # All that decides on the last bit: whether they are computed again or not, a run goes on with the same.
    exact = f"{state.precision.dtype} ({settings.amp}{', deterministic' if settings.deterministic else ''})"
    threads = f"{state.precision.device.type} by {torch.get_num_threads()} threads"
    how = f"{exact}, {loader.batch_size} at a time on {threads}"
    weights = digest_of(model, source_of(settings.model).head(model))
    key = key_of(settings.model, weights, how, loader.preprocess, 1, part)
    folder = settings.cache_dir and settings.cache_dir / "features"
    seen, were_kept = kept_features(folder, settings.model, key, compute, to.tell)
    unread = np.delete(np.asarray(part.indices, np.int64), seen.places).tolist()
    if unread and were_kept:
        # So that they are noted in this run too.
        for _ in replace(loader, part=replace(loader.part, indices=unread)).batches():
            pass
    return seen
