"""Batch normalization over the batch of all processes, in training; in evaluation it is what it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from clfctl.engine.frozen import norms_of
from clfctl.engine.world import World


def share_statistics(model: nn.Module, world: World, device: torch.device) -> nn.Module:
    """Return a model whose batch normalization sees the images of all processes; names and weights stay.

    On GPUs that is torch.nn.SyncBatchNorm, which has no other code; elsewhere it is made of differentiable sums.
    """
    if device.type == "cuda":
        from timm.layers import convert_sync_batchnorm  # of its own layers too, with their activations

        converted: nn.Module = convert_sync_batchnorm(model)
        return converted
    for norm in norms_of(model):
        shared: Any = norm
        kind: Any = type(norm)
        shared.__class__ = _shared(kind)
        shared.world = world
    return model


@cache
def _shared(kind: type[nn.Module]) -> type[nn.Module]:
    """Return a kind of batch normalization whose statistics in training are those of all processes."""

    # By a class of its own, not a wrapper: names of weights, and whoever asks for a BatchNorm2d, know no difference.
    class Shared(kind):  # type: ignore[valid-type, misc]  # a base of run time
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Return `x` (B, C, …) normalized; B may be 0 here."""
            if not self.training:
                normalized: torch.Tensor = super().forward(x)
                return normalized
            return _activated(self, _normalized(self, x))

    Shared.__name__ = Shared.__qualname__ = kind.__name__
    return Shared


@contextmanager
def each_alone(model: nn.Module) -> Iterator[None]:
    """Let batch normalization see the images of this process alone: for what all compute alike, or one without others.

    Else the same images would count once for every process, and what only one computes would wait for the others.
    """
    shared: list[Any] = [each for each in norms_of(model) if hasattr(each, "world") or _is_synced(each)]
    for norm in shared:
        norm.forward = MethodType(_alone, norm)
    try:
        yield
    finally:
        for norm in shared:
            del norm.forward


def _alone(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """Return `x` as the kind that a shared batch normalization was made of normalizes it."""
    if _is_synced(norm):
        return _activated(norm, _BatchNorm.forward(norm, x))
    normalized: torch.Tensor = super(type(norm), norm).forward(x)
    return normalized


def _is_synced(norm: nn.Module) -> bool:
    return isinstance(norm, nn.SyncBatchNorm)


def _activated(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """Return what follows the normalization: timm's have an activation of their own."""
    activated: torch.Tensor = norm.act(norm.drop(x)) if hasattr(norm, "act") and hasattr(norm, "drop") else x
    return activated


def _normalized(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """Return `x` by the mean and variance of all processes, which the running ones take in, as torch's own does."""
    dims = [dim for dim in range(x.ndim) if dim != 1]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    wide = x.float() if x.element_size() < 4 else x
    own = torch.tensor([float(wide.numel() // wide.shape[1])], dtype=wide.dtype, device=x.device)
    sums = _sum(torch.cat((wide.sum(dims), own)), norm.world)
    n = sums[-1]
    mean = sums[:-1] / n
    centred = wide - mean.view(shape)
    var = _sum(centred.square().sum(dims), norm.world) / n
    with torch.no_grad():
        norm.num_batches_tracked += 1
        factor = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean.detach(), factor)
        norm.running_var.lerp_(var.detach() * n / (n - 1).clamp_min(1), factor)
    y = centred * torch.rsqrt(var + norm.eps).view(shape)
    if norm.weight is not None:
        y = y * norm.weight.view(shape) + norm.bias.view(shape)
    return y.to(x.dtype)


def _sum(values: torch.Tensor, world: World) -> torch.Tensor:
    """Return the sum over all processes; its gradient is the sum of theirs."""
    total: torch.Tensor = _Sum.apply(values, world)
    return total


class _Sum(torch.autograd.Function):
    """A sum over processes that gradients go back through."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, world: World) -> torch.Tensor:
        """Return the sum."""
        ctx.world = world
        return world.sum(values)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the sum of what the processes want of it."""
        return ctx.world.sum(gradient.contiguous()), None
