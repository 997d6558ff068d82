"""A probe of one network after the other: features, what is fitted on them, and the best as a run folder."""

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clfctl.data.loader import BadImages
from clfctl.data.onlookers import Onlookers
from clfctl.data.pixels.decode import Picture, orientation_of, see_and_close, upright_size
from clfctl.data.pixels.unreadable import BAD_IMAGE_ERRORS
from clfctl.data.pixels.views import views as views_of
from clfctl.data.sources.base import Data, Part
from clfctl.engine.assemble import Parts, build_parts, make_loader
from clfctl.engine.evaluate import Counts
from clfctl.engine.feature_store import digest_of, kept_features, key_of, room_in
from clfctl.engine.features import Pooled, Seen, classifier_of, compute_features
from clfctl.engine.folded import for_evaluation
from clfctl.engine.step import Normalize
from clfctl.engine.world import ALONE
from clfctl.errors import DataError, UsageError
from clfctl.evaluation.epoch_metrics import Tally
from clfctl.evaluation.intervals import interval
from clfctl.models.built import NEW
from clfctl.models.sources import source_of
from clfctl.models.timm_models import lasting_name
from clfctl.probing.check import training_of
from clfctl.probing.found import Probed, Probing, best_of
from clfctl.probing.heads import Head, fit_head, neighbours_top1
from clfctl.probing.save import save_run
from clfctl.settings.probing import ProbeSettings

# Images whose size is looked at to tell whether the others are small too.
N_LOOKED_AT = 32


def probe_network(settings: ProbeSettings, model: str, data: Data, to: Onlookers) -> tuple[Probed, Parts]:
    """Probe one network; return what was found, and the parts of a training with its head written into the model.

    Raises UsageError for a network without pooled features, DataError where no image can be read.
    """
    training = training_of(settings, model)
    training = training.model_copy(update={"model": lasting_name(training.model)})
    parts = _seeing_all_of_small(build_parts(training, data))
    network, preprocess = parts.built.model, parts.built.preprocess
    if parts.built.origin == NEW:
        to.tell(f"Note: {model} has never been trained, so that its features are random; name a run, or `weights=`")
    started = time.perf_counter()
    layer = classifier_of(network, model, preprocess.image_size)
    if layer.bias is None:
        raise UsageError(f"the classifier of {model} has no bias", "choose another network", field="model")
    weights = digest_of(network, source_of(parts.settings.model).head(network))

    views = Views(settings, model, parts, weights, to)
    train, train_s = views.of(data.train, settings.views, "training")
    val, val_s = views.of(data.val, 1, "validation")
    for seen, part in ((train, data.train), (val, data.val)):
        if not len(seen.places) and len(part):
            raise DataError(f"no image of {settings.data} can be read", "look at them with: clfctl check-data")
    fitting = time.perf_counter()
    labels, val_labels = _labels(data.train, train), _labels(data.val, val)
    neighbours = neighbours_top1(train.features[0], labels, val.features[0], val_labels)
    head = fit_head(train.features, labels, len(data.classes), settings.seed, _groups(data.train, train), settings.c)
    write_head(head, layer)
    right, tally = _judged(head.logits(val.features[0]), val_labels)
    n_computed = settings.views * len(train.places) * bool(train_s) + len(val.places) * bool(val_s)
    ended = time.perf_counter()
    found = Probed(
        model=model,
        image_size=preprocess.image_size,
        n_parameters=parts.built.n_parameters,
        n_features=layer.in_features,
        n_views=settings.views,
        features_per_s=n_computed / (train_s + val_s) if n_computed else None,
        neighbours=neighbours,
        head=head,
        top1=float(right.mean()),
        top1_interval=interval(int(right.sum()), len(right)),
        loss=tally.loss / max(1, tally.n_images),
        tally=tally,
        right=right,
        places=val.places,
        fit_s=ended - fitting,
        seconds=ended - started,
    )
    return found, parts


@dataclass(frozen=True)
class Views:
    """The features of the views of images: kept ones where there are any, else computed, and kept."""

    settings: ProbeSettings
    model: str
    parts: Parts
    weights: str
    to: Onlookers

    def of(self, part: Part, n_views: int, what: str) -> tuple[Seen, float]:
        """Return the features of a part, and the seconds that computing them took, 0 where they were there."""
        took_s, folder = 0.0, self.settings.cache_dir and self.settings.cache_dir / "features"

        def compute() -> Seen:
            nonlocal took_s
            begun = time.perf_counter()
            found = _features(self.parts, part, n_views, f"{self.model}, {what}", folder, self.to)
            took_s = time.perf_counter() - begun
            return found

        precision, preprocess = self.parts.precision, self.parts.built.preprocess
        title = f"{Path(self.settings.data).name}-{what}-{self.model}"
        network = self.parts.settings.model
        key = key_of(network, self.weights, str(precision.dtype), preprocess, n_views, part)
        seen, _ = kept_features(folder, title, key, compute, self.to.tell)
        if n_bad := len(part) - len(seen.places):
            self.to.tell(f"Left out: {n_bad} {what} {'image' if n_bad == 1 else 'images'} that cannot be read")
        return seen, took_s


def _judged(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[NDArray[np.bool_], Tally]:
    """Return of which images (N,) the class was found, and what metrics are computed of."""
    counts = Counts(logits.shape[1], torch.device("cpu"))
    counts.add(torch.from_numpy(logits.astype(np.float32)), torch.from_numpy(labels))
    return logits.argmax(1) == labels, counts.tally(ALONE)


@torch.no_grad()
def write_head(head: Head, layer: nn.Linear) -> None:
    """Write a regression into a network's own classifier."""
    layer.weight.copy_(torch.from_numpy(head.weight))
    layer.bias.copy_(torch.from_numpy(head.bias))


def _seeing_all_of_small(parts: Parts) -> Parts:
    """Return the parts of a network that sees images whole if most are smaller than what it gets.

    They are enlarged, so that a crop from their middle shows no more of it, and lacks the rest.
    """
    settings, built = parts.settings, parts.built
    if settings.fit != "auto" or settings.start_from or built.preprocess.fit != "crop":
        return parts
    source, indices = parts.data.train.source, parts.data.train.indices
    sides = []
    for index in np.linspace(0, len(indices) - 1, min(N_LOOKED_AT, len(indices))).astype(int):
        with suppress(*BAD_IMAGE_ERRORS):
            sides.append(min(see_and_close(source.open(indices[index]), _size_of)))
    is_small = bool(sides) and float(np.median(sides)) < min(built.preprocess.size)
    return replace(parts, built=built.seeing_all()) if is_small else parts


def _size_of(image: Picture) -> tuple[int, int]:
    return upright_size(image, orientation_of(image))


def _features(parts: Parts, part: Part, n_views: int, title: str, folder: Path | None, to: Onlookers) -> Seen:
    settings, preprocess, device = parts.settings, parts.built.preprocess, parts.precision.device
    bad = BadImages(settings.on_bad_image, len(part))
    loader = make_loader(settings, part, preprocess, bad, device)
    loaders = [(replace(loader, crop=crop), mirrored) for crop, mirrored in views_of(n_views)]
    room, normalize = room_in(folder), Normalize(preprocess, device)
    with to.bar(title, n_views * len(part)) as advance:
        pooled = for_evaluation(Pooled(parts.built.model), parts.precision)
        return compute_features(pooled, loaders, parts.precision, normalize, advance, room)


def _labels(part: Part, seen: Seen) -> NDArray[np.int64]:
    labels: NDArray[np.int64] = np.asarray(part.source.labels, np.int64)[_indices(part, seen)]
    return labels


def _groups(part: Part, seen: Seen) -> NDArray[np.int64] | None:
    return None if part.groups is None else part.groups[_indices(part, seen)]


def _indices(part: Part, seen: Seen) -> NDArray[np.int64]:
    """Return the indices in the source of the images that have features."""
    indices: NDArray[np.int64] = np.asarray(part.indices, np.int64)[seen.places]
    return indices


def probe_networks(settings: ProbeSettings, data: Data, to: Onlookers) -> Probing:
    """Probe networks in turn, and write the run of the best; only that one is kept in memory.

    Raises UsageError for a network that cannot be probed, DataError, ModelError or WriteError.
    """
    found: list[Probed] = []
    parts: Parts | None = None
    for model in settings.model:
        probed, candidate = probe_network(settings, model, data, to)
        if best_of([*found, probed]) is probed:
            parts = candidate
        found.append(probed)
    assert parts is not None
    return Probing(save_run(parts, best_of(found), found).path, tuple(found))
