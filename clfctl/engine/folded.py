"""A network for evaluation on a CPU: less to compute, and a few images at a time."""

import copy
import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Barrier
from typing import Any

import torch
from torch import nn

from clfctl.engine.device import Precision
from clfctl.engine.frozen import norms_of

# Of how many pixels the images are that a thread computes at once: what a layer gives to the next is then still in the
# cores' caches (see decision 0144).
PIXELS = 2**18  # 16 of 128 × 128, 5 of 224 × 224
# How far the features of one image may be from those that were not folded, against their norm; rounding is 1e-6.
TOLERANCE = 1e-4


def for_evaluation(network: nn.Module, precision: Precision) -> nn.Module:
    """Return what gives a network's answers in evaluation mode, to rounding, as fast as the device can."""
    on_cores = precision.device.type == "cpu" and precision.dtype == torch.float32
    return Folded(network) if on_cores else network


class Folded(nn.Module):
    """A network in evaluation mode that is folded when it sees its first images, if that leaves its answers the same.

    Batch normalization with fixed statistics is linear, as the convolution before it: one layer does the work of both
    (Jacob et al. 2018, arXiv:1712.05877, section 3.2). Each thread computes images of its own: that waits less than all
    threads do at each layer. The network that was given stays as it is.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.n_threads = network, torch.get_num_threads()
        self.threads: ThreadPoolExecutor | None = None
        self.free: SimpleQueue[nn.Module] = SimpleQueue()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the network makes of images (B, 3, H, W), to rounding."""
        if self.threads is None:
            network = folded(self.network.eval(), images[:1])
            for _ in range(self.n_threads):
                self.free.put(_same_weights(network))
            self.threads = _threads(self.n_threads)
        of_each = max(1, PIXELS // (images.shape[2] * images.shape[3]))
        # As many parts for each thread, of equal size.
        n_parts = self.n_threads * math.ceil(len(images) / of_each / self.n_threads)
        parts = images.tensor_split(min(n_parts, len(images)))
        return torch.cat(list(self.threads.map(self._answers, parts)))

    @torch.inference_mode()
    def _answers(self, images: torch.Tensor) -> torch.Tensor:
        network = self.free.get()
        try:
            answers: torch.Tensor = network(images)
        finally:
            self.free.put(network)
        return answers


def _same_weights(network: nn.Module) -> nn.Module:
    """Return a copy with the same weights in memory: what a network keeps while it computes is not of two threads."""
    shared = {id(each): each for each in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, shared)


def _threads(n: int) -> ThreadPoolExecutor:
    """Return threads of which each computes alone."""
    all_began = Barrier(n)

    def begin(_: int) -> None:
        torch.set_num_threads(1)
        all_began.wait()

    pool = ThreadPoolExecutor(n, "evaluation")
    list(pool.map(begin, range(n)))
    # What one of them sets is what threads that begin later would have.
    torch.set_num_threads(n)
    return pool


@torch.inference_mode()
def folded(network: nn.Module, image: torch.Tensor) -> nn.Module:
    """Return a copy of a network in evaluation mode that is folded, or the network if that is not the same.

    Which convolution comes before which batch normalization is what `image` (1, 3, H, W) meets on its way. A shared
    weight, or what else takes the output of a convolution, shows in what the copy makes of the image.
    """
    if not norms_of(network):
        return network
    expected = network(image)
    made = copy.deepcopy(network)
    for conv, name, norm in _pairs(made, image):
        _fold(conv, norm)
        made.set_submodule(name, _rest_of(norm))
    is_same = (made(image) - expected).norm() <= TOLERANCE * expected.norm()
    return made if is_same else network


def _pairs(network: nn.Module, image: torch.Tensor) -> list[tuple[nn.Conv2d, str, Any]]:
    """Return each convolution with the name and the module of the batch normalization that gets its output."""
    met: list[tuple[nn.Conv2d, str, nn.Module]] = []
    calls: Counter[nn.Module] = Counter()
    last: list[Any] = [None, None]

    def left(conv: nn.Module, _: Any, output: torch.Tensor) -> None:
        calls[conv] += 1
        last[:] = conv, output

    def entered(norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        calls[norm] += 1
        if inputs[0] is last[1]:
            met.append((last[0], names[norm], norm))

    names = {module: name for name, module in network.named_modules()}
    norms = [each for each in norms_of(network) if isinstance(each, nn.BatchNorm2d)]
    with _hooks(
        [each.register_forward_hook(left) for each in names if type(each) is nn.Conv2d]
        + [each.register_forward_pre_hook(entered) for each in norms]
    ):
        network(image)
    return [each for each in met if calls[each[0]] == calls[each[2]] == 1]


@contextmanager
def _hooks(handles: list[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for each in handles:
            each.remove()


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Let a convolution do what batch normalization does after it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, scale = norm.running_mean.double(), (norm.running_var.double() + norm.eps).rsqrt()
    shift = -mean * scale
    if conv.bias is not None:
        shift = shift + conv.bias.double() * scale
    if norm.weight is not None:
        scale, shift = scale * norm.weight.double(), shift * norm.weight.double() + norm.bias.double()
    # In place, which keeps the memory format.
    conv.weight.mul_(scale.to(conv.weight.dtype)[:, None, None, None])
    conv.bias = nn.Parameter(shift.to(conv.weight.dtype), requires_grad=False)


def _rest_of(norm: Any) -> nn.Module:
    """Return what is left of batch normalization: the activation that timm's has inside."""
    parts = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    return nn.Sequential(*parts) if parts else nn.Identity()
