"""How fast a model trains: on a batch that is there already, and on batches that a loader feeds."""

import itertools
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer

from clfctl.data.loader import Batch, Loader
from clfctl.engine.device import Precision
from clfctl.engine.mixing import Mixer
from clfctl.engine.step import Normalize, train_step
from clfctl.settings.groups import TrainSettings


@dataclass(frozen=True)
class Stepper:
    """Training steps whose result nobody keeps: those of a training, at its base rate."""

    model: nn.Module
    optimizer: Optimizer
    precision: Precision
    normalize: Normalize
    settings: TrainSettings

    def step(self, batch: Batch, number: int = 0) -> torch.Tensor:
        """Train on a batch, from uint8 in the computer's memory on; return the loss, still on the device."""
        self.model.train()
        mixer = Mixer(self.settings.mixup, self.settings.cutmix, self.settings.seed)
        return train_step(
            self.model,
            self.optimizer,
            self.precision,
            self.normalize(batch.images),
            batch.labels.to(self.precision.device, non_blocking=True),
            label_smoothing=self.settings.label_smoothing,
            mixture=mixer.mixture(number, *batch.images.shape[2:]),
            clip_grad=self.settings.clip_grad,
        )

    def can_train_on(self, batch: Batch) -> bool:
        """Return whether train would: of the one image left of a batch batch normalization has no variance."""
        return len(batch.labels) >= min(2, self.settings.batch_size)

    def fed_by(self, loader: Loader) -> Generator[int, None, None]:
        """Train on the loader's batches, epoch after epoch; yield the size of each when its step is begun.

        A device that computes beside the processor is a few steps behind, always the same few.
        """
        number = 0
        for epoch in itertools.count():
            for batch in loader.batches(epoch):
                if self.can_train_on(batch):
                    self.step(batch, number)
                number += 1
                yield len(batch.labels)


def model_rate(stepper: Stepper, batch: Batch, seconds: float, n_windows: int) -> Iterator[float]:
    """Yield images/s of each window of steps on one batch, again and again: what the model could take.

    Two steps to warm up: the first lays out memory and chooses kernels.
    """
    for _ in range(2):
        started = time.perf_counter()
        stepper.step(batch).item()
    n_steps = max(1, round(seconds / (time.perf_counter() - started)))
    for _ in range(n_windows):
        started = time.perf_counter()
        for _ in range(n_steps):
            loss = stepper.step(batch)
        loss.item()  # waits for the device
        yield n_steps * len(batch.labels) / (time.perf_counter() - started)


def wait_for(device: torch.device) -> None:
    """Return when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
