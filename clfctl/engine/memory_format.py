"""In which memory format a model computes: channels-last, which is faster, or plain where that does not hold."""

from dataclasses import dataclass

import torch
from torch import nn

from clfctl.runs.header import CHANNELS_LAST

CONTIGUOUS = "contiguous"
# Of fewer input channels, the backward pass of a 1×1 convolution with a stride writes past the end of its memory on
# CPUs (torch 2.14, AVX-512): the process dies, or the gradient is wrong. Tried for 1 to 32: 8 and more are right.
SAFE_CHANNELS = 8


@dataclass(frozen=True)
class _ToPlain:
    """Makes images plain before the model sees them: a convolution computes channels-last if its input is."""

    reason: str

    def __call__(self, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(each.contiguous() for each in inputs)


def lay_out(model: nn.Module, device: torch.device, before: str = CHANNELS_LAST) -> None:
    """Move a model to a device, in the memory format that it was trained in before, if it was and that holds there.

    The check looks at the model's layers, and tries nothing: what does not hold may end the process. It costs less
    than a millisecond.
    """
    model.to(device)
    reason = _obstacle(model, device)
    if before == CONTIGUOUS and not reason:
        reason = "as the run began"
    if reason:
        model.register_forward_pre_hook(_ToPlain(reason))
    else:
        # Convolutions on CPU and on tensor cores read channels-last; on a CPU of 2 cores 1.3 to 2 times as fast.
        model.to(memory_format=torch.channels_last)


def format_of(model: nn.Module) -> str:
    """Return the memory format that `lay_out` chose."""
    return CONTIGUOUS if why_plain(model) else CHANNELS_LAST


def why_plain(model: nn.Module) -> str:
    """Return why a model computes in plain memory, nothing if it does not."""
    return next((hook.reason for hook in model._forward_pre_hooks.values() if isinstance(hook, _ToPlain)), "")


def _obstacle(model: nn.Module, device: torch.device) -> str:
    if any(parameter.ndim == 5 for parameter in model.parameters()):
        return "channels-last is for images, and it has a convolution of three dimensions"
    if device.type == "cpu":
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d) and _is_unsafe(module):
                return f"channels-last is not safe on CPUs for its layer {name}"
    return ""


def _is_unsafe(layer: nn.Conv2d) -> bool:
    is_pointwise = all(side == 1 for side in layer.kernel_size)
    return (
        is_pointwise and any(step != 1 for step in layer.stride) and layer.in_channels // layer.groups < SAFE_CHANNELS
    )
