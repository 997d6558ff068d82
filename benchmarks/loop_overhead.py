"""The trainer's images/s divided by those of a bare PyTorch loop over the same batches, in alternating rounds."""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional

from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import build_parts, make_trainer
from clfctl.engine.trainer import Trainer
from clfctl.models.custom_cnn import CustomCNN
from clfctl.runs.folder import create_run
from clfctl.settings.groups import TrainSettings

ROUNDS = 7
LEAST = 0.97


def bare_loop(settings: TrainSettings, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Train one epoch as a tutorial would, on ready float batches; return images/s."""
    model = CustomCNN(10).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), settings.lr, fused=True)
    n_images = sum(len(labels) for _, labels in batches)
    started = time.perf_counter()
    for images, labels in batches:
        loss = functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return n_images / (time.perf_counter() - started)


def our_loop(trainer: Trainer) -> float:
    """Train one epoch with everything that the trainer does besides; return images/s without validation."""
    return next(trainer.epochs()).images_per_s


def main() -> int:
    settings = TrainSettings(image_size=32, augment="none", epochs=1)
    data = open_data(settings, settings.seed)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for n in range(ROUNDS):
            trainer = make_trainer(build_parts(settings, data), create_run(Path(folder), "{n}", ""))
            loader = trainer.train_loader
            batches = [(trainer.normalize(batch.images), batch.labels) for batch in loader.batches(0)]
            if n % 2:
                ours, bare = our_loop(trainer), bare_loop(settings, batches)
            else:
                bare, ours = bare_loop(settings, batches), our_loop(trainer)
            ratios.append(ours / bare)
            print(f"trainer {ours:.0f} images/s, bare loop {bare:.0f}, ratio {ours / bare:.3f}")
    ratio = statistics.median(ratios)
    print(f"median ratio {ratio:.3f} (at least {LEAST})")
    return int(ratio < LEAST)


if __name__ == "__main__":
    sys.exit(main())
