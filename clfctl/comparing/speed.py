"""What models cost where they are used: their size, and how long they take for an image."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from clfctl.inference.trained import TrainedModel
from clfctl.settings.image_size import sides

# The best of so many rounds, the models in turn: what else the machine does slows each of them, or none.
N_ROUNDS = 7
ROUND_S = 0.05
BATCH = 16


@dataclass(frozen=True)
class Cost:
    """`n_parameters`, the bytes of all weights, milliseconds for one image alone and images/s of batches of 16.

    The network's own time: images are there already, as tensors. `device` is where it was measured.
    """

    n_parameters: int
    n_bytes: int
    latency_ms: float
    images_per_s: float
    device: str


def all_of(costs: Sequence[Cost]) -> Cost:
    """Return what several models cost that answer one after the other."""
    return Cost(
        sum(each.n_parameters for each in costs),
        sum(each.n_bytes for each in costs),
        sum(each.latency_ms for each in costs),
        1 / sum(1 / each.images_per_s for each in costs),
        costs[0].device,
    )


def costs_of(models: Sequence[TrainedModel]) -> list[Cost]:
    """Return what each of the models costs on its device, measured in turn."""
    alone = _best_times(models, 1)
    together = _best_times(models, BATCH)
    return [
        Cost(
            sum(each.numel() for each in trained.model.parameters()),
            sum(each.numel() * each.element_size() for each in trained.model.state_dict().values()),
            1000 * one,
            BATCH / many,
            str(trained.precision.device),
        )
        for trained, one, many in zip(models, alone, together, strict=True)
    ]


@torch.inference_mode()
def _best_times(models: Sequence[TrainedModel], n_images: int) -> list[float]:
    """Return the seconds that each model takes for a batch."""
    batches = [_batch(each, n_images) for each in models]
    # The first pass lays out memory and chooses kernels; the second says how many fill a round.
    for _ in range(2):
        first = [_timed(each, batch, 1) for each, batch in zip(models, batches, strict=True)]
    best = [math.inf] * len(models)
    for _ in range(N_ROUNDS):
        for place, (trained, batch) in enumerate(zip(models, batches, strict=True)):
            n_passes = max(1, min(1000, round(ROUND_S / max(first[place], 1e-6))))
            best[place] = min(best[place], _timed(trained, batch, n_passes))
    return best


def _batch(trained: TrainedModel, n_images: int) -> torch.Tensor:
    height, width = sides(trained.info.preprocess.image_size)
    images = torch.zeros(n_images, 3, height, width, device=trained.precision.device)
    return images.contiguous(memory_format=torch.channels_last)


def _timed(trained: TrainedModel, batch: torch.Tensor, n_passes: int) -> float:
    """Return the seconds of a pass."""
    started = time.perf_counter()
    for _ in range(n_passes):
        with trained.precision.autocast():
            answer = trained.model(batch)
    answer.flatten()[0].item()  # waits for the device
    return (time.perf_counter() - started) / n_passes
