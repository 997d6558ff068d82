"""Averages of the weights: trained beside the model, evaluated and saved in its place."""

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from clfctl.data.loader import Batch, Loader
from clfctl.engine.device import Precision
from clfctl.engine.frozen import train_mode
from clfctl.engine.sync_norm import each_alone

# Images whose batches tell batch normalization enough: "1,000 to 10,000" (Wu and Johnson 2021, arXiv:2105.07576).
N_IMAGES = 10_000
# Of the decay's growth; timm's default, "good for trainings of a million steps and more" and shorter ones alike.
WARMUP_POWER = 2 / 3


class MovingAverage:
    """An exponential moving average of weights and buffers: `average += (1 - decay) * (model - average)` at each step.

    Batch normalization's statistics are averaged as the weights are, what is no number with a fraction is copied. The
    decay grows with the steps, so that the first weights, of which nothing is learned, are soon forgotten: see
    `decay_at`. Polyak and Juditsky 1992; with growing decay as timm.utils.ModelEmaV3 and TensorFlow's
    ExponentialMovingAverage have it. `model` is that of the average.
    """

    def __init__(self, decay: float, of: nn.Module) -> None:
        self.decay, self.model = decay, copied(of)
        self._pairs = _Pairs(self.model, of)

    @torch.no_grad()
    def update(self, n_steps: int) -> None:
        """Take the weights in after a step, the `n_steps`-th of the run, from 1."""
        self._pairs.move(1 - decay_at(n_steps, self.decay))

    @torch.no_grad()
    def begin(self) -> None:
        """Take the weights as they are for the average."""
        self._pairs.move(1.0)


def decay_at(n_steps: int, decay: float) -> float:
    """Return the decay after so many steps, from 1: 0 after the first, then `1 - n_steps ** (-2/3)`, at most `decay`.

    That is timm.utils.ModelEmaV3's with `use_warmup=True`: 0.99 after 1,000 steps, 0.999 after 31,600.
    """
    return max(0.0, min(decay, 1 - n_steps**-WARMUP_POWER)) if n_steps > 1 else 0.0


def first_step_of(decay: float) -> int:
    """Return after how many steps the decay is as large as it gets."""
    return max(2, math.ceil(math.pow(1 - decay, -1 / WARMUP_POWER)))


def copied(model: nn.Module) -> nn.Module:
    """Return a model of its own with the same weights, in the same memory format, which is only evaluated."""
    return copy.deepcopy(model).eval().requires_grad_(False)


class _Pairs:
    """The tensors of an average, each with the one that it averages; tied ones are there once."""

    def __init__(self, average: nn.Module, model: nn.Module) -> None:
        mine, others = average.state_dict(keep_vars=True), model.state_dict(keep_vars=True)
        pairs = {id(other): (mine[name], other) for name, other in others.items()}
        moved = [pair for pair in pairs.values() if pair[0].is_floating_point()]
        self.averages, self.values = [mine for mine, _ in moved], [other for _, other in moved]
        self.copied = [pair for pair in pairs.values() if not pair[0].is_floating_point()]

    def move(self, share: float) -> None:
        """Move every average so far towards its value: 0 not at all, 1 wholly."""
        # In one call for all tensors: a loop over them in Python would cost more than the sums.
        torch._foreach_lerp_(self.averages, self.values, share)
        for mine, other in self.copied:
            mine.copy_(other)


class EpochAverage:
    """The mean of the weights at the ends of some epochs: stochastic weight averaging.

    Izmailov et al. 2018, arXiv:1803.05407; torch.optim.swa_utils.AveragedModel. It begins after
    `first` epochs. `model` is that of the mean, `n_epochs` how many it has, `until` the last of them, from 1. Its batch
    normalization has to see images: `refresh`.
    """

    def __init__(self, first: int, of: nn.Module) -> None:
        self.model, self.first, self.n_epochs, self.until = copied(of), first, 0, 0
        self._pairs = _Pairs(self.model, of)

    @torch.no_grad()
    def add(self, epoch: int) -> None:
        """Take in the weights at the end of an epoch, from 1, if it has begun; once, however often it is called."""
        if epoch > max(self.first, self.until):
            self.n_epochs, self.until = self.n_epochs + 1, epoch
            self._pairs.move(1 / self.n_epochs)


def averages_of(model: nn.Module, ema: float, first: int | None) -> tuple[MovingAverage | None, EpochAverage | None]:
    """Return the averages of a model that there are: a moving one of decay `ema`, a mean after `first` epochs.

    Of both the mean is that of the moving average.
    """
    moving = MovingAverage(ema, model) if ema else None
    return moving, None if first is None else EpochAverage(first, moving.model if moving else model)


@torch.inference_mode()
def refresh(model: nn.Module, norms: Sequence[str], batches: Iterable[torch.Tensor], precision: Precision) -> None:
    """Measure the statistics of batch normalization anew, for weights that no step has made.

    `norms` are the names of its modules that have statistics of their own, `batches` images (B, 3, H, W) as the model
    takes them. The mean over all batches, as in torch.optim.swa_utils.update_bn; dropout does not act, so that nothing
    is drawn. Batches of one image tell nothing, and are left out.
    """
    modules = [model.get_submodule(name) for name in norms]
    found = [each for each in modules if isinstance(each, _BatchNorm) and each.track_running_stats]
    if not found:
        return
    momenta = [each.momentum for each in found]
    model.eval()
    for each in found:
        each.reset_running_stats()
        each.momentum = None  # a plain mean
        each.train()
    try:
        with each_alone(model):
            for images in batches:
                if len(images) > 1:
                    with precision.autocast():
                        model(images)
    finally:
        for each, momentum in zip(found, momenta, strict=True):
            each.momentum = momentum
        model.eval()


def batches_to_see(loader: Loader, epoch: int) -> Iterator[Batch]:
    """Yield as many of an epoch's training batches as batch normalization needs to see."""
    return islice(loader.batches(epoch), math.ceil(N_IMAGES / loader.batch_size))


def norms_to_refresh(model: nn.Module) -> list[str]:
    """Return the names of the batch normalization that is trained; the model is in training mode then."""
    train_mode(model)
    return [name for name, each in model.named_modules() if isinstance(each, _BatchNorm) and each.training]
