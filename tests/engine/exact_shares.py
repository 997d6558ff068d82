"""What each of several processes runs in a test: the gradients of shares, in double precision, against those of all."""

import copy
import sys
from itertools import product

import torch
from torch import nn

from clfctl.data.loader import Batch
from clfctl.data.whole import Whole, share_of
from clfctl.engine.device import pick_precision
from clfctl.engine.losses import Loss
from clfctl.engine.micro_batches import micro_batches
from clfctl.engine.mixing import Mixture
from clfctl.engine.replica import Replica
from clfctl.engine.shares import shares_of
from clfctl.engine.step import gradients
from clfctl.engine.sync_norm import share_statistics
from clfctl.engine.world import World, joined
from clfctl.models.custom_cnn import CustomCNN
from clfctl.settings.processes import ProcessSettings

CPU = torch.device("cpu")
MIXTURES = (None, Mixture(0.3), Mixture(0.6, (3, 3, 20, 20)))
# Of 2 images one of three processes has none.
SIZES = (17, 4, 2)
# How many images of all are computed at once: all of them, or parts of which some have no image in one process.
PARTS = (17, 7, 4)


def main() -> None:
    torch.manual_seed(0)
    normed = CustomCNN(10).double()
    plain = nn.Sequential(nn.Conv2d(3, 4, 5, 4), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 7 * 7, 10)).double()
    batch = Batch(torch.randint(0, 256, (17, 3, 32, 32), dtype=torch.uint8), torch.randint(0, 10, (17,)), range(17))
    weighed = Loss(class_weights=torch.rand(10, dtype=torch.float64) + 0.5, label_smoothing=0.1)
    with joined("cpu", "1m") as world:
        for n, mixture, loss in product(SIZES, MIXTURES, (weighed, Loss("focal"))):
            few = Batch(batch.images[:n], batch.labels[:n], range(n))
            compare(share_statistics(copy.deepcopy(normed), world, CPU), normed, few, n, mixture, loss, world)
            for at_once in PARTS:
                compare(copy.deepcopy(plain), plain, few, at_once, mixture, loss, world)
    sys.exit(0)


def compare(
    many: nn.Module, one: nn.Module, batch: Batch, at_once: int, mixture: Mixture | None, loss: Loss, world: World
) -> None:
    """Compare the gradients of `many`, of which each process has its share in parts, with those of `one` on all."""
    one, syncs = copy.deepcopy(one), isinstance(one, CustomCNN)
    precision, n = pick_precision("off", CPU), len(batch.labels)
    whole = gradients(one, precision, micro_batches(batch, n, doubled, CPU, loss, mixture), loss)
    replica = Replica(world, ProcessSettings(sync_batch_norm=syncs))
    replica.begin(many)
    parts = [share_of(n, rank, world.size) for rank in range(world.size)]
    own = parts[world.rank]
    of_all = Whole(tuple(part.stop - part.start for part in parts), world.rank, float(loss.total_of(batch.labels)))
    share = Batch(batch.images[own], batch.labels[own], batch.indices[own], of_all)
    shares = shares_of(share, at_once, doubled, CPU, world, mixture, syncs=syncs)
    value = world.sum(gradients(many, precision, shares, loss, replica=replica))
    torch.testing.assert_close(value, whole, rtol=1e-12, atol=1e-12)
    for (name, parameter), other in zip(one.named_parameters(), many.parameters(), strict=True):
        assert parameter.grad is not None, name
        assert other.grad is not None, name
        assert (other.grad - parameter.grad).norm() <= 1e-11 * parameter.grad.norm(), name
    for buffer, same in zip(one.buffers(), many.buffers(), strict=True):
        torch.testing.assert_close(same, buffer, rtol=1e-12, atol=1e-12)


def doubled(images: torch.Tensor) -> torch.Tensor:
    return images.double() / 255
