"""How fast a model trains: on a batch that is there already, and on batches that a loader feeds."""

import itertools
import time
from collections.abc import Generator, Iterator

import torch

from clfctl.data.loader import Batch, Loader
from clfctl.engine.frozen import begin_epoch
from clfctl.engine.step import Stepper


def endless_steps(stepper: Stepper, loader: Loader) -> Generator[int, None, None]:
    """Train on the loader's batches, epoch after epoch; yield the size of each when its step is begun.

    A device that computes beside the processor is a few steps behind, always the same few.
    """
    begin_epoch(stepper.model, stepper.optimizer, 0)
    number = 0
    for epoch in itertools.count():
        for batch in loader.batches(epoch):
            if stepper.can_train_on(batch):
                stepper.step(batch, number)
            number += 1
            yield len(batch.labels)


def model_rate(stepper: Stepper, batch: Batch, seconds: float, n_windows: int) -> Iterator[float]:
    """Yield images/s of each window of steps on one batch, again and again: what the model could take.

    Two steps to warm up: the first lays out memory and chooses kernels.
    """
    begin_epoch(stepper.model, stepper.optimizer, 0)
    for _ in range(2):
        started = time.perf_counter()
        stepper.step(batch, 0).item()
    n_steps = max(1, round(seconds / (time.perf_counter() - started)))
    for _ in range(n_windows):
        started = time.perf_counter()
        for _ in range(n_steps):
            loss = stepper.step(batch, 0)
        loss.item()  # waits for the device
        yield n_steps * len(batch.labels) / (time.perf_counter() - started)


def wait_for(device: torch.device) -> None:
    """Return when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
