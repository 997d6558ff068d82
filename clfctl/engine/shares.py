"""A process's share of a batch, in the parts that it is computed in: their losses sum up to that of the whole batch."""

from collections.abc import Iterator

import torch

from clfctl.data.loader import Batch
from clfctl.data.whole import share_of
from clfctl.engine.micro_batches import MicroBatch, Normalizer, part_sizes
from clfctl.engine.mixing import Mixture
from clfctl.engine.world import World


def shares_of(
    batch: Batch,
    size: int,
    normalize: Normalizer,
    device: torch.device,
    world: World,
    mixture: Mixture | None = None,
    *,
    syncs: bool = False,
) -> Iterator[MicroBatch]:
    """Yield this process's share of a batch in as many parts as every other process, each made when it is asked for.

    All together compute at most about `size` images at once. An image is mixed with the one before it in the whole
    batch, which the process before this one may have. A part without images computes an empty one that counts nothing.
    Where batch normalization `syncs`, it sees the parts of all processes.
    """
    whole = batch.whole
    assert whole is not None
    n, n_parts = len(batch.labels), len(part_sizes(whole.n_images, size))
    # Of a part that would be whole in every batch of full size.
    usual = max(1, size // world.size)
    pixels, labels = batch.images, batch.labels
    before = _last_before(batch, world) if mixture and n else None
    if before is not None:
        pixels, labels = torch.cat((before[0], pixels)), torch.cat((before[1], labels))
    for number in range(n_parts):
        part, is_last = share_of(n, number, n_parts), number == n_parts - 1
        length = part.stop - part.start
        rests = not syncs and length < min(2, usual)
        if not length and not syncs:
            yield _nothing(batch, normalize, device, is_last=is_last)
            continue
        of_part = labels[part.start + (before is not None) : part.stop + (before is not None)].to(device)
        others = None
        if before is None:
            images = normalize(pixels[part])
        else:
            assert mixture is not None
            seen = normalize(pixels[part.start : part.stop + 1])
            images = mixture.images(seen[1:].clone(), seen[:-1])
            others = labels[part].to(device)
        # What has no image has none to mix.
        mixed = mixture if others is not None else None
        yield MicroBatch(images, of_part, mixed, others, whole.weight, length / whole.n_images, is_last, rests)


def _last_before(batch: Batch, world: World) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the image (1, 3, H, W) and label (1,) that come before the first of a share: of the whole, the last."""
    assert batch.whole is not None
    counts = batch.whole.counts
    image = world.shift(batch.images[-1:].contiguous(), counts)
    return image.contiguous(memory_format=torch.channels_last), world.shift(batch.labels[-1:].clone(), counts)


def _nothing(batch: Batch, normalize: Normalizer, device: torch.device, *, is_last: bool) -> MicroBatch:
    """Return a part for a process to take part with that has no image: its loss is 0, and so are its gradients."""
    images = normalize(torch.zeros((1, *batch.images.shape[1:]), dtype=batch.images.dtype))
    total = torch.tensor(torch.inf, device=device)
    return MicroBatch(images, torch.zeros(1, dtype=torch.int64, device=device), None, None, total, 0.0, is_last, True)
