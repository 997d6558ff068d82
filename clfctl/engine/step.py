"""The training step: a batch of images and labels makes the model a little better."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

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
from clfctl.engine.replica import Replica
from clfctl.engine.shares import shares_of
from clfctl.engine.teacher import Lesson
from clfctl.settings.groups import TrainSettings

# More than the trainer makes before it looks whether the losses are finite.
N_NORMS = 100


class Stepped(NamedTuple):
    """The mean loss of a batch and the norm of its gradient before it was clipped, scalars on the device."""

    loss: torch.Tensor
    gradient_norm: torch.Tensor


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
    replica: Replica | None = None,
) -> Stepped:
    """Make one optimizer step on the parts of a batch and return what it was, still on the device.

    With a `lesson` the loss is in part the distance to what its teacher answers; with a `replica` other processes have
    parts of the batch too. Here and in `gradients` alone occur autocast, backward, unscale, clip, step and zero_grad.
    """
    value = gradients(model, precision, parts, loss, lesson, replica=replica)
    if replica:
        value = replica.world.sum(value)
    if clip_grad or precision.scaler.is_enabled():
        precision.scaler.unscale_(optimizer)
    if clip_grad:
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip_grad)
    else:
        norm = norm_of([each.grad for each in model.parameters() if each.grad is not None])
    with begun_only(optimizer):
        precision.scaler.step(optimizer)
    precision.scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return Stepped(value, norm)


def gradients(
    model: nn.Module,
    precision: Precision,
    parts: Iterable[MicroBatch],
    loss: Loss,
    lesson: Lesson | None = None,
    look: Callable[[MicroBatch, torch.Tensor], None] | None = None,
    replica: Replica | None = None,
) -> torch.Tensor:
    """Add the gradient of a batch, given in parts, to that of the parameters, and return its mean loss, on the device.

    `look` is shown each part with its logits.
    """
    values = []
    for part in parts:
        with replica.computing(part) if replica else nullcontext():
            with precision.autocast():
                # The teacher first: what it computes with is gone before the model keeps what its gradients need.
                taught = lesson.teacher(part.images) if lesson else None
                logits = replica(part.images) if replica else model(part.images)
                if look:
                    look(part, logits)
                value = part.loss(loss, logits)
                if lesson and taught is not None:
                    value = lesson.loss(value, logits, taught, part.share)
            precision.scaler.scale(replica.scaled(value) if replica else value).backward()
        values.append(value.detach())
    return values[0] if len(values) == 1 else torch.stack(values).sum()


def norm_of(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Return the norm of all numbers of some tensors together, a scalar on their device."""
    return torch.stack(torch._foreach_norm(tensors)).norm() if tensors else torch.zeros(())


@dataclass(frozen=True)
class Stepper:
    """The training steps of a run: a batch as it comes from the loader, by the run's settings.

    `replica` is the model as several processes train it, None: one does. `norms` are those of the gradients of the
    latest steps, (number, scalar on the device).
    """

    model: nn.Module
    optimizer: Optimizer
    precision: Precision
    normalize: Normalizer
    settings: TrainSettings
    class_weights: torch.Tensor | None = None
    lesson: Lesson | None = None
    replica: Replica | None = None
    norms: deque[tuple[int, torch.Tensor]] = field(default_factory=lambda: deque(maxlen=N_NORMS))

    def step(self, batch: Batch, number: int) -> torch.Tensor:
        """Train on a batch, the `number`-th of the run (from 0), which seeds its mixture; return the loss."""
        made = train_step(
            self.model,
            self.optimizer,
            self.precision,
            self.parts(batch, number),
            self.loss,
            clip_grad=self.settings.clip_grad,
            lesson=self.lesson,
            replica=self.replica,
        )
        self.norms.append((number, made.gradient_norm))
        return made.loss

    @property
    def loss(self) -> Loss:
        """The loss that is trained with."""
        settings = self.settings
        return Loss(settings.loss, settings.label_smoothing, settings.focal_gamma, self.class_weights)

    def can_train_on(self, batch: Batch) -> bool:
        """Return whether there is enough: one image left of a batch has no variance for batch normalization."""
        return batch.n_images >= min(2, self.settings.batch_size)

    def parts(self, batch: Batch, number: int) -> Iterator[MicroBatch]:
        """Yield a batch in the parts that it is computed in, mixed as that step's is."""
        settings = self.settings
        mixture = Mixer(settings.mixup, settings.cutmix, settings.seed).mixture(number, *batch.images.shape[2:])
        if self.replica:
            world, at_once = self.replica.world, settings.images_at_once
            return shares_of(
                batch, at_once, self.normalize, self.precision.device, world, mixture, syncs=settings.sync_batch_norm
            )
        return micro_batches(batch, settings.images_at_once, self.normalize, self.precision.device, self.loss, mixture)
