"""A trained network to be explained: what can be asked of it, and its features with their gradients."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clfctl.data.pixels.decode import Pixels, Resize, resize
from clfctl.engine.step import Normalize
from clfctl.errors import ModelError, UsageError
from clfctl.explaining.layers import Layer
from clfctl.inference.trained import TrainedModel
from clfctl.models.card import Card

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Inside:
    """The network itself, frozen and in evaluation mode, and the trained model that it is, or has been."""

    model: nn.Module
    trained: TrainedModel

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.trained.precision.device


@dataclass(frozen=True)
class Network:
    """A model that answers for pixels (B, H, W, 3) uint8 with probabilities (B, n_classes).

    `inside` is what gradients are taken of; an ONNX file has none.
    """

    file: Path
    info: Card
    ask: Callable[[Pixels], Floats]
    inside: Inside | None = None
    resize: Resize = resize

    def within(self, method: str) -> Inside:
        """Return what a method looks into. Raises UsageError where there is only what answers."""
        if self.inside is None:
            hint = "give the run or the checkpoint that it was made of, or `method=occlusion`"
            raise UsageError(f"{self.file} has no gradients, which {method} needs", hint, field="method")
        return self.inside


def network_of(trained: TrainedModel) -> Network:
    """Return a trained model as a network to be explained; it is frozen from now on."""
    model = trained.model.float().eval().requires_grad_(False)
    return _around(trained.file, trained.info, Inside(model, trained))


def network_around(network: Network, inside: Inside) -> Network:
    """Return a network of the same kind with other weights."""
    return _around(network.file, network.info, inside)


def _around(file: Path, info: Card, inside: Inside) -> Network:
    normalize = Normalize(info.preprocess, inside.device)

    @torch.no_grad()
    def ask(pixels: Pixels) -> Floats:
        logits: torch.Tensor = inside.model(normalize(as_images(pixels)))
        found: Floats = logits.float().softmax(1).cpu().numpy()
        return found

    return Network(file, info, ask, inside)


def as_images(pixels: Pixels) -> torch.Tensor:
    """Return pixels (B, H, W, 3) uint8 as images (B, 3, H, W) uint8."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)


def features_and_gradients(
    network: Network, inside: Inside, layer: Layer, pixels: Pixels, classes: NDArray[np.int64]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the map of a layer for images, and the gradient of each one's class's logit by it, (B, C, h, w) float32.

    The graph begins at the layer: what comes before is computed as in validation. Raises ModelError for what is not
    finite.
    """
    kept: list[torch.Tensor] = []

    def begin(_: nn.Module, __: object, output: torch.Tensor) -> torch.Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[-1].clone()  # what works in place works on this

    images = Normalize(network.info.preprocess, inside.device)(as_images(pixels))
    handle = inside.model.get_submodule(layer.names[-1]).register_forward_hook(begin)
    try:
        with torch.enable_grad():
            logits = inside.model(images)
            chosen = logits.gather(1, torch.from_numpy(classes).to(inside.device)[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, kept[-1:], allow_unused=True)
    finally:
        handle.remove()
    features = layer.layout.to_map(kept[-1].detach()).float()
    slopes = torch.zeros_like(features) if gradient is None else layer.layout.to_map(gradient).float()
    if not (features.isfinite().all() and slopes.isfinite().all()):
        raise ModelError("the network's features are not finite", "its weights are damaged, or not its own")
    return features, slopes
