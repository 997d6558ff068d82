"""The features of images: what a frozen network makes of each, before its classifier."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clfctl.engine.device import Precision
from clfctl.engine.evaluate import answers
from clfctl.engine.measure import View, placed
from clfctl.engine.memory_format import why_plain
from clfctl.engine.micro_batches import Normalizer
from clfctl.errors import ModelError, UsageError, first_line
from clfctl.settings.image_size import ImageSize, sides

# Bytes of features above which they are kept on disk, not in memory. The same on every machine, so that a run goes on
# as it began.
IN_MEMORY = 2 * 1024**3
_BLOCK = 4096  # images

Features = NDArray[np.float32]
Room = Callable[[tuple[int, int, int]], Features]


@dataclass(frozen=True)
class Seen:
    """`features` (V, N, D) float32 of V views of N images, and the images' `places` (N,) in the part that was read."""

    features: Features
    places: NDArray[np.int64]


class Pooled(nn.Module):
    """A classifier without its last layer: images to pooled features."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return features (B, D) of images (B, 3, H, W)."""
        asked: Any = self.model
        if why_plain(self.model):  # its own forward would have made them so
            images = images.contiguous()
        features: torch.Tensor = asked.forward_head(asked.forward_features(images), pre_logits=True)
        return features


def head_of(model: nn.Module) -> Any:
    """Return what a model says is its classifier, None if it does not say."""
    asked: Any = model
    return asked.get_classifier() if hasattr(model, "get_classifier") else None


def classifier_of(model: nn.Module, name: str, image_size: ImageSize) -> nn.Linear:
    """Return the layer that turns a model's pooled features into logits: what a probe fits, and a frozen model trains.

    Raises UsageError for a model without such a layer. Leaves the model in evaluation mode.
    """
    head = head_of(model)
    hint = "choose another, such as `model=efficientnet_b0`"
    if not isinstance(head, nn.Linear):
        raise UsageError(f"{name} has no linear layer on pooled features", hint, field="model")
    weight = next(model.parameters())
    # Neither zeros nor a mean of zero, which networks may take to the same answer as others.
    shape = (1, 3, *sides(image_size))
    image = torch.linspace(-1, 2, math.prod(shape), device=weight.device, dtype=weight.dtype).reshape(shape)
    with torch.inference_mode():
        try:
            logits, again = model.eval()(image), head(Pooled(model)(image))
        except (AttributeError, TypeError, RuntimeError) as error:
            raise UsageError(f"{name} has no pooled features: {first_line(error)}", hint, field="model") from None
    if logits.shape != again.shape or not torch.allclose(logits, again, rtol=1e-3, atol=1e-4):
        raise UsageError(f"the answers of {name} are not made of its pooled features alone", hint, field="model")
    return head


def compute_features(
    pooled: nn.Module,
    views: Sequence[View],
    precision: Precision,
    normalize: Normalizer,
    on_images: Callable[[int], None] | None = None,
    room: Room = lambda shape: np.zeros(shape, np.float32),
) -> Seen:
    """Return what `pooled` makes of the images of the loaders, which all read the same ones, in the same order.

    Images that cannot be read are left out. `on_images` is told how many images were seen, once a view; `room` returns
    an array of a shape to put them into. Raises ModelError for features that are not finite.
    """
    n_all, n_views = len(views[0][0].part), sum(len(mirrored) for _, mirrored in views)
    features: Features | None = None
    n_seen, view = np.zeros(n_all, np.int64), 0
    for loader, mirrored in views:
        for places, _, found in placed(answers(pooled, loader, precision, normalize, mirrored), loader):
            for number, each in enumerate(found):
                values = each.cpu().numpy()
                if not np.isfinite(values).all():
                    raise ModelError("the network's features are not finite", "its weights are damaged, or not its own")
                if features is None:
                    features = room((n_views, n_all, values.shape[1]))
                features[view + number, places] = values
                if on_images:
                    on_images(len(places))
            n_seen[places] += len(mirrored)
        view += len(mirrored)
    whole = np.flatnonzero(n_seen == n_views)  # an image that was removed meanwhile was not seen in every view
    if features is None:
        features = np.zeros((n_views, n_all, 1), np.float32)
    return Seen(features if len(whole) == n_all else _of_images(features, whole, room), whole)


def _of_images(features: Features, images: NDArray[np.int64], room: Room) -> Features:
    """Return the features of some images, without more of them in memory than a block."""
    chosen = room((len(features), len(images), features.shape[2]))
    for start in range(0, len(images), _BLOCK):
        part = slice(start, start + _BLOCK)
        for to, of in zip(chosen, features, strict=True):
            to[part] = of[images[part]]
    return chosen
