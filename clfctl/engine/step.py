"""The training step: a batch of images and labels makes the model a little better."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer

from clfctl.data.loader import Batch
from clfctl.data.pixels.transform import Preprocess
from clfctl.engine.device import Precision
from clfctl.engine.frozen import begun_only
from clfctl.engine.losses import Loss
from clfctl.engine.micro_batches import MicroBatch, Normalizer, micro_batches
from clfctl.engine.mixing import Mixer
from clfctl.engine.teacher import Lesson
from clfctl.settings.groups import TrainSettings


class Normalize:
    """uint8 pixels to what the model takes, on the device: a quarter of the bytes to copy."""

    def __init__(self, preprocess: Preprocess, device: torch.device) -> None:
        mean, std = (torch.tensor(each, device=device) for each in (preprocess.mean, preprocess.std))
        # For a whole row: in channels-last memory, factors of three channels would be applied to three at a time.
        width = preprocess.size[1]
        self.scale, self.shift = (1 / (255 * std)).repeat(width), (-mean / std).repeat(width)
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
    parts: Iterable[MicroBatch],
    loss: Loss,
    *,
    clip_grad: float,
    lesson: Lesson | None = None,
) -> torch.Tensor:
    """Make one optimizer step on the parts of a batch and return the mean loss of it, still on the device.

    With a `lesson` the loss is in part the distance to what its teacher answers.
    The only place where autocast, backward, unscale, clip, step and zero_grad occur.
    """
    values = []
    for part in parts:
        with precision.autocast():
            # The teacher first: what it computes with is gone before the model keeps what its gradients need.
            taught = lesson.teacher(part.images) if lesson else None
            logits = model(part.images)
            value = part.loss(loss, logits)
            if lesson and taught is not None:
                value = lesson.loss(value, logits, taught, part.share)
        precision.scaler.scale(value).backward()
        values.append(value.detach())
    if clip_grad:
        precision.scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), clip_grad)
    with begun_only(optimizer):
        precision.scaler.step(optimizer)
    precision.scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return values[0] if len(values) == 1 else torch.stack(values).sum()


@dataclass(frozen=True)
class Stepper:
    """The training steps of a run: a batch as it comes from the loader, by the run's settings."""

    model: nn.Module
    optimizer: Optimizer
    precision: Precision
    normalize: Normalizer
    settings: TrainSettings
    class_weights: torch.Tensor | None = None
    lesson: Lesson | None = None

    def step(self, batch: Batch, number: int) -> torch.Tensor:
        """Train on a batch, the `number`-th of the run (from 0), which seeds its mixture; return the loss."""
        return train_step(
            self.model,
            self.optimizer,
            self.precision,
            self._parts(batch, number),
            self.loss,
            clip_grad=self.settings.clip_grad,
            lesson=self.lesson,
        )

    @property
    def loss(self) -> Loss:
        """The loss that is trained with."""
        settings = self.settings
        return Loss(settings.loss, settings.label_smoothing, settings.focal_gamma, self.class_weights)

    def can_train_on(self, batch: Batch) -> bool:
        """Return whether there is enough: one image left of a batch has no variance for batch normalization."""
        return len(batch.labels) >= min(2, self.settings.batch_size)

    def _parts(self, batch: Batch, number: int) -> Iterator[MicroBatch]:
        settings = self.settings
        mixture = Mixer(settings.mixup, settings.cutmix, settings.seed).mixture(number, *batch.images.shape[2:])
        return micro_batches(batch, settings.images_at_once, self.normalize, self.precision.device, self.loss, mixture)
