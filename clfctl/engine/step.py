"""The training step: a batch of images and labels makes the model a little better."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional
from torch.optim import Optimizer

from clfctl.data.loader import Batch
from clfctl.data.pixels.transform import Preprocess
from clfctl.engine.device import Precision
from clfctl.engine.mixing import Mixer, Mixture
from clfctl.settings.groups import TrainSettings


class Normalize:
    """uint8 pixels to what the model takes, on the device: a quarter of the bytes to copy."""

    def __init__(self, preprocess: Preprocess, device: torch.device) -> None:
        mean, std = (torch.tensor(each, device=device) for each in (preprocess.mean, preprocess.std))
        # For a whole row: in channels-last memory, factors of three channels would be applied to three at a time.
        size = preprocess.image_size
        self.scale, self.shift = (1 / (255 * std)).repeat(size), (-mean / std).repeat(size)
        self.device = device

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return images (B, 3, H, W) uint8 as float32 of zero mean, on the device, in channels-last memory."""
        n, channels, height, width = images.shape
        rows = images.to(self.device, non_blocking=True).permute(0, 2, 3, 1).reshape(n, height, width * channels)
        rows = rows.to(torch.float32).mul_(self.scale).add_(self.shift)
        return rows.view(n, height, width, channels).permute(0, 3, 1, 2)


def train_step(
    model: nn.Module,
    optimizer: Optimizer,
    precision: Precision,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    label_smoothing: float,
    clip_grad: float,
    class_weights: torch.Tensor | None = None,
    mixture: Mixture | None = None,
) -> torch.Tensor:
    """Make one optimizer step and return the mean loss of the batch, still on the device.

    `images` (B, 3, H, W) float32 normalized, `labels` (B,) int64; with `class_weights` (n_classes,) float32 the mean is
    weighted by those of the labels. The images are mixed as `mixture` says. The only place where autocast, backward,
    unscale, clip, step and zero_grad occur.
    """
    images = mixture.images(images) if mixture else images
    with precision.autocast():
        logits = model(images)
        # Weights and logits must be of one type; without weights autocast may choose.
        logits = logits if class_weights is None else logits.float()
        loss_of = partial(functional.cross_entropy, logits, weight=class_weights, label_smoothing=label_smoothing)
        loss = mixture.loss(loss_of, labels) if mixture else loss_of(labels)
    precision.scaler.scale(loss).backward()
    if clip_grad:
        precision.scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), clip_grad)
    precision.scaler.step(optimizer)
    precision.scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach()


@dataclass(frozen=True)
class Stepper:
    """The training steps of a run: a batch as it comes from the loader, by the run's settings."""

    model: nn.Module
    optimizer: Optimizer
    precision: Precision
    normalize: Normalize
    settings: TrainSettings
    class_weights: torch.Tensor | None = None

    def step(self, batch: Batch, number: int) -> torch.Tensor:
        """Train on a batch, the `number`-th of the run (from 0), which seeds its mixture; return the loss."""
        settings = self.settings
        mixer = Mixer(settings.mixup, settings.cutmix, settings.seed)
        return train_step(
            self.model,
            self.optimizer,
            self.precision,
            self.normalize(batch.images),
            batch.labels.to(self.precision.device, non_blocking=True),
            label_smoothing=settings.label_smoothing,
            class_weights=self.class_weights,
            clip_grad=settings.clip_grad,
            mixture=mixer.mixture(number, *batch.images.shape[2:]),
        )

    def can_train_on(self, batch: Batch) -> bool:
        """Return whether there is enough: one image left of a batch has no variance for batch normalization."""
        return len(batch.labels) >= min(2, self.settings.batch_size)
