"""What a model answers for labelled images, and the metrics of an epoch, counted on the device."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from clfctl.data.loader import Batch
from clfctl.engine.device import Precision
from clfctl.engine.micro_batches import Normalizer
from clfctl.engine.world import ALONE, World
from clfctl.evaluation.epoch_metrics import TOP_K, Tally, measured

AS_IT_IS = (False,)


class Batches(Protocol):
    """What batches come from: images, or what takes their place."""

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from batch `start` on."""
        ...


@torch.inference_mode()
def answers(
    model: nn.Module, loader: Batches, precision: Precision, normalize: Normalizer, mirrored: Sequence[bool] = AS_IT_IS
) -> Iterator[tuple[Batch, list[torch.Tensor]]]:
    """Yield each batch with the logits (B, C) float32 of its images, on the device, one for each way to see them.

    An image is seen mirrored where `mirrored` says so. A batch of which no image could be read has no logits.
    """
    model.eval()
    for batch in loader.batches():
        logits = []
        for is_mirrored in mirrored if len(batch.labels) else ():
            images = batch.images.flip(3) if is_mirrored else batch.images
            with precision.autocast():
                seen = model(normalize(images))
            logits.append(seen.float())
        yield batch, logits


def evaluate(
    model: nn.Module,
    loader: Batches,
    precision: Precision,
    normalize: Normalizer,
    on_batch: Callable[[Batch], None] | None = None,
    world: World = ALONE,
) -> dict[str, float]:
    """Return the validation metrics of an epoch by name, NaN without images; losses are without label smoothing.

    `on_batch` is called after each batch, and may raise to stop.
    """
    counts: Counts | None = None
    for batch, logits in answers(model, loader, precision, normalize):
        for each in logits:
            counts = counts or Counts(each.shape[1], each.device)
            counts.add(each, batch.labels.to(each.device, non_blocking=True))
        if on_batch:
            on_batch(batch)
    if not world.is_alone:  # one without an image adds zeros
        n_classes = max(int(n) for (n,) in world.gather(len(counts.order) if counts else 0))
        counts = counts or (Counts(n_classes, precision.device) if n_classes else None)
    return measured("val", counts.tally(world) if counts else Tally(0, 0.0))


class Counts:
    """What a tally is made of, kept on the device: a value that is asked for would wait for it at every batch."""

    def __init__(self, n_classes: int, device: torch.device) -> None:
        # MPS has no float64, and adds int64 in newer versions of macOS only.
        self.loss = torch.zeros((), dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
        self.hits = torch.zeros(2, dtype=torch.int32, device=device)
        self.of_classes = torch.zeros(3, n_classes, dtype=torch.int32, device=device)
        self.order = torch.arange(n_classes, device=device)
        self.n_images = 0

    @torch.inference_mode()
    def add(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Count a batch: logits (B, C) float32 and labels (B,) int64, both on the device."""
        predicted = logits.argmax(1)
        is_right = predicted == labels
        self.loss += functional.cross_entropy(logits, labels, reduction="sum")
        self.hits += torch.stack([is_right.sum(), self._is_among_first(logits, labels).sum()])
        ones = torch.ones_like(labels, dtype=torch.int32)
        # Not bincount: on CUDA it waits for the largest number.
        for row, classes, counted in zip(
            self.of_classes, (labels, predicted, labels), (is_right.to(torch.int32), ones, ones), strict=True
        ):
            row.scatter_add_(0, classes, counted)
        self.n_images += len(labels)

    def tally(self, world: World) -> Tally:
        """Return what all processes counted; waits for the device."""
        n_images = int(world.sum(torch.tensor(self.n_images)))
        right, among_five = world.sum(self.hits).tolist()
        found, predicted, support = world.sum(self.of_classes).tolist()
        return Tally(n_images, world.sum(self.loss).item(), right, among_five, found, predicted, support)

    def _is_among_first(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return whether each label (B,) is among the likeliest; of equally likely classes the first count."""
        of_label = logits.gather(1, labels[:, None])
        is_earlier = self.order < labels[:, None]
        before = (logits > of_label) | ((logits == of_label) & is_earlier)
        return before.sum(1) < TOP_K
