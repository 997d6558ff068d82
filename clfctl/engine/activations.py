"""Activation checkpointing: what the gradients need is computed again instead of kept: less memory, more time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from clfctl.errors import UsageError


def checkpoint_activations(model: nn.Module, name: str) -> None:
    """Let a model keep the inputs of its blocks alone: Chen et al. 2016, arXiv:1604.06174.

    Its gradients and its statistics stay the same to the bit: dropout draws the same again, and batch normalization,
    which sees the images a second time in the backward pass, counts them once. Raises UsageError for a model that
    cannot.
    """
    asked: Any = model
    try:
        asked.set_grad_checkpointing(True)  # timm's, and ours; what it raises where it cannot is each network's own
    except (AttributeError, AssertionError, TypeError, NotImplementedError):
        hint = "leave it out; `accumulate=` needs less memory with any model"
        raise UsageError(f"{name} cannot compute its activations again", hint, field="checkpoint_activations") from None
    norms = [each for each in model.modules() if isinstance(each, _BatchNorm) and each.track_running_stats]
    if norms:
        model.register_forward_hook(_CountsOnce(norms))


@dataclass(frozen=True)
class _CountsOnce:
    """Keeps batch normalization from gathering statistics in a backward pass, where it sees the images again.

    It must compute as it did, so it is in training mode all the same: with a momentum of 0 its statistics stay as they
    are to the bit, and it counts on a counter that is thrown away.
    """

    norms: Sequence[_BatchNorm]

    def __call__(self, _module: nn.Module, _inputs: object, outputs: torch.Tensor) -> None:
        if outputs.requires_grad:
            outputs.register_hook(self._begin)  # it is the first whose gradient is known

    def _begin(self, _gradient: torch.Tensor) -> None:
        own = [(norm, norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm, _, counter in own:
            norm.momentum = 0.0
            norm.num_batches_tracked = None if counter is None else torch.zeros_like(counter)

        def end() -> None:
            for norm, momentum, counter in own:
                norm.momentum, norm.num_batches_tracked = momentum, counter

        # When the backward pass is over; as torch's own DistributedDataParallel does.
        torch.autograd.Variable._execution_engine.queue_callback(end)
