"""A model that several processes train together: each computes its share, and the gradients are those of all."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel

from clfctl.engine.frozen import norms_of
from clfctl.engine.micro_batches import MicroBatch
from clfctl.engine.world import World
from clfctl.settings.processes import ProcessSettings


class Replica:
    """Wraps a model in DistributedDataParallel, anew where other parameters are trained than before.

    DDP takes the mean of the gradients over the processes. Each process's loss is a part of that of the whole batch, of
    which the sum is wanted: it is multiplied by their number. Li et al. 2020, arXiv:2006.15704.
    """

    def __init__(self, world: World, settings: ProcessSettings) -> None:
        self.world, self._settings = world, settings
        self._model: nn.Module | None = None
        self._ddp: DistributedDataParallel | None = None
        self._trained: list[bool] = []

    def begin(self, model: nn.Module) -> None:
        """Take a model whose parameters are marked as what is trained from now on."""
        trained = [each.requires_grad for each in model.parameters()]
        if self._ddp is not None and self._model is model and trained == self._trained:
            return
        device = next(model.parameters()).device
        self._model, self._trained = model, trained
        self._ddp = None  # its hooks go first
        with self.world.talking():
            self._ddp = DistributedDataParallel(
                model,
                device_ids=[device.index] if device.type == "cuda" else None,
                gradient_as_bucket_view=True,
                static_graph=self._settings.static_graph,
            )
        if self._settings.compress_gradients == "bf16":
            self._ddp.register_comm_hook(None, bf16_compress_hook)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (B, n_classes); going back from them sums the gradients of all processes up."""
        assert self._ddp is not None
        logits: torch.Tensor = self._ddp(images)
        return logits

    def scaled(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the loss to go back from."""
        return loss * self.world.size

    @contextmanager
    def computing(self, part: MicroBatch) -> Iterator[None]:
        """Enter the computation of a part: gradients are sent with the last one of a step.

        A part that is too small for statistics of its own is normalized by those that there are.
        """
        assert self._ddp is not None
        assert self._model is not None
        resting = [each for each in norms_of(self._model) if each.training] if part.rests else []
        for each in resting:
            each.eval()
        try:
            with nullcontext() if part.is_last else self._ddp.no_sync(), self.world.talking(), _quietly():
                yield
        finally:
            for each in resting:
                each.train()


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep torch from advice about the memory format of gradients, which costs a copy of small ones."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        yield
