"""A batch in parts that are computed one after the other: the gradient of the whole, the memory of a part."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from clfctl.data.loader import Batch
from clfctl.engine.losses import Loss
from clfctl.engine.mixing import Mixture

# uint8 images (B, 3, H, W), on the host, to what the model takes, on the device.
Normalizer = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class MicroBatch:
    """What the model sees at once: `images` (M, 3, H, W) as it takes them, mixed already, and `labels` (M,).

    `others` (M,) are the labels of what the images are mixed with. `total` is what the whole batch's loss is divided
    by, if this is a part of it; None: it is all of it. `share` is how many of the batch's images are in it.
    With `is_last` the step is complete. What `rests` is too small for statistics of its own.
    """

    images: torch.Tensor
    labels: torch.Tensor
    mixture: Mixture | None = None
    others: torch.Tensor | None = None
    total: torch.Tensor | float | None = None
    share: float = 1.0
    is_last: bool = True
    rests: bool = False

    def loss(self, loss: Loss, logits: torch.Tensor) -> torch.Tensor:
        """Return its part of the batch's loss, from the logits (M, C) of its images."""
        if self.mixture is None:
            return loss(logits, self.labels, self.total)
        return self.mixture.loss(lambda labels: loss(logits, labels, self.total), self.labels, self.others)


def micro_batches(
    batch: Batch, size: int, normalize: Normalizer, device: torch.device, loss: Loss, mixture: Mixture | None = None
) -> Iterator[MicroBatch]:
    """Yield a batch in parts of at most `size` images, as alike as can be, each made when it is asked for.

    The images are mixed over the whole batch: the first of a part with the last of the part before it.
    """
    n = len(batch.labels)
    labels = batch.labels.to(device, non_blocking=True)
    others = labels.roll(1, 0) if mixture else None
    if n <= size:
        images = normalize(batch.images)
        yield MicroBatch(mixture.images(images) if mixture else images, labels, mixture, others)
        return
    # Both labels of a mixed image are weighted: over the whole batch they have the same sum.
    total = loss.total_of(labels)
    start = 0
    for length in part_sizes(n, size):
        part = slice(start, start + length)
        images = normalize(batch.images[part])
        if mixture:
            before = torch.arange(start - 1, start + length - 1)  # of the first, -1: the last
            images = mixture.images(images, normalize(batch.images[before]))
        of_part = None if others is None else others[part]
        yield MicroBatch(images, labels[part], mixture, of_part, total, length / n, start + length == n)
        start += length


def part_sizes(n: int, size: int) -> list[int]:
    """Return how many of `n` images are in each part of at most `size`, as alike as can be.

    None is alone, which batch normalization may not take, unless `size` is 1: of an odd number in pairs, three go
    together.
    """
    n_parts = n // 2 if size == 2 and n > 1 else -(-n // size)
    return [n // n_parts + (number < n % n_parts) for number in range(n_parts)]
