"""torch.compile for the training step, if it pays: measured once at the beginning, and then kept to."""

import time
import warnings
from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any

import torch
from torch import nn

from clfctl.data.whole import length, share_of
from clfctl.engine.frozen import begin_epoch
from clfctl.engine.head_only import obstacle, trains_only_classifier
from clfctl.engine.trainer import Trainer
from clfctl.errors import first_line
from clfctl.settings.clock import clock_in_words

MEASURED_S, N_LEAST, N_MOST = 1.0, 3, 20


class CompiledForward:
    """A model's forward, compiled for training batches of one shape (B, 3, H, W); anything else goes the plain way.

    So which code computes a batch depends on the batch alone, not on those that came before it, and a resumed run ends
    with the same bits. A copy of the model has its plain forward again, and all names stay as they are. PyTorch 2:
    Ansel et al. 2024, doi:10.1145/3620665.3640366.
    """

    def __init__(self, model: nn.Module, shape: torch.Size, backend: str | Callable[..., Any]) -> None:
        self._model, self._shape, self._plain = model, shape, model.forward
        self._compiled = torch.compile(self._plain, dynamic=False, backend=backend)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (B, n_classes)."""
        is_a_step = self._model.training and torch.is_grad_enabled() and images.shape == self._shape
        logits: torch.Tensor = self._compiled(images) if is_a_step else self._plain(images)
        return logits

    def __deepcopy__(self, memo: Mapping[int, Any]) -> MethodType:
        return MethodType(type(self._model).forward, memo[id(self._model)])


def compile_if_it_pays(
    trainer: Trainer, tell: Callable[[str], None], backend: str | Callable[..., Any] = "inductor"
) -> None:
    """Compile the model of a trainer, as its settings and what was decided at the run's beginning say; tell which.

    Weights, statistics and gradients are as they were. Where it was decided already nothing is measured.
    """
    state = trainer.state
    if not state.settings.compile or state.is_compiled is False:
        return
    epochs = _whole_epochs(trainer)
    if not epochs:
        tell("Compile nothing: a classifier on the features of a frozen network is too small to gain by it")
        return
    tell("Compile the model, which may take a minute")
    model, images = state.model, _images(trainer)
    before = {name: each.clone() for name, each in model.named_buffers()}
    begin_epoch(model, state.optimizer, epochs[0])
    if not trainer.world.is_alone:
        state.is_compiled = True  # measuring would call for all processes at once
    plain_s = 0.0 if state.is_compiled else _step_s(trainer, images)
    model.forward = CompiledForward(model, images.shape, backend)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it could do on other devices
            compile_s = _seconds(lambda: _forward_backward(trainer, images))
            saved_s = 0.0 if state.is_compiled else plain_s - _step_s(trainer, images)
    except Exception as error:  # no compiler, or a model that cannot be: whatever its many parts raise
        _plain(model)
        again = "; it was compiled before, so its last bits may differ" if state.is_compiled else ""
        reason = first_line(getattr(error, "inner_exception", error))  # of the part that failed
        tell(f"Compile not possible: {reason}; trained without{again}")
        state.is_compiled = False
    else:
        _decide(trainer, plain_s, saved_s, compile_s, tell)
    finally:
        with torch.no_grad():
            for name, each in model.named_buffers():
                each.copy_(before[name])


def _decide(trainer: Trainer, plain_s: float, saved_s: float, compile_s: float, tell: Callable[[str], None]) -> None:
    """Keep to the compiled model if it saves more time than compiling took; saved_s is for one part of a step."""
    state = trainer.state
    if state.is_compiled:
        return
    n_left = len(_whole_epochs(trainer)) * trainer.train_loader.n_batches * state.settings.accumulate
    took, all_saved_s = clock_in_words(compile_s), max(0.0, saved_s * n_left)
    state.is_compiled = all_saved_s > compile_s
    step = f"a forward and backward pass takes {1000 * (plain_s - saved_s):.3g} ms instead of {1000 * plain_s:.3g}"
    if state.is_compiled:
        tell(f"Compile pays: {step}, and it took {took}")
    else:
        _plain(trainer.state.model)
        tell(f"Compile does not pay: {step}, and it takes {took} for {clock_in_words(all_saved_s)}; trained without")


def _whole_epochs(trainer: Trainer) -> list[int]:
    """Return the epochs to come, from 0, in which the whole model computes."""
    state = trainer.state
    epochs = range(state.cursor.epoch, trainer.plan.epochs)
    if obstacle(state.settings):
        return [*epochs]
    return [epoch for epoch in epochs if not trains_only_classifier(state.model, state.optimizer, epoch)]


def _plain(model: nn.Module) -> None:
    """Give a model the forward of its class back."""
    del model.forward


def _images(trainer: Trainer) -> torch.Tensor:
    """Return images of a whole part of a batch, as a step sees them."""
    height, width = trainer.train_loader.preprocess.size
    draw = torch.Generator().manual_seed(0)
    settings, world = trainer.state.settings, trainer.world
    own = length(share_of(settings.batch_size, world.rank, world.size))
    shape = (max(1, length(share_of(own, 0, settings.accumulate))), 3, height, width)
    return trainer.normalize(torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw))


def _step_s(trainer: Trainer, images: torch.Tensor) -> float:
    """Return how long a forward and a backward pass take, the shortest of several times."""
    first_s = _seconds(lambda: _forward_backward(trainer, images))
    n = min(N_MOST, max(N_LEAST, int(MEASURED_S / max(first_s, 1e-9))))
    return min(_seconds(lambda: _forward_backward(trainer, images)) for _ in range(n))


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _forward_backward(trainer: Trainer, images: torch.Tensor) -> None:
    """Compute gradients, wait for them, and forget them."""
    model, precision = trainer.state.model, trainer.state.precision
    with precision.autocast():
        loss = model(images).float().logsumexp(1).mean()
    loss.backward()
    for parameter in model.parameters():
        parameter.grad = None
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    elif images.device.type == "mps":
        torch.mps.synchronize()
