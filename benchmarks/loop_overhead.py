"""The trainer's images/s divided by those of a bare PyTorch loop over the same batches, in alternating rounds."""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch.nn import functional

from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import build_parts, make_trainer
from clfctl.engine.trainer import Trainer
from clfctl.models.custom_cnn import CustomCNN
from clfctl.runs.folder import create_run
from clfctl.settings.groups import TrainSettings

ROUNDS = 5
LEAST = 0.97
# What both loops do besides.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "average": {"ema": 0.999},
    "accumulation": {"accumulate": 4},
    "layer decay": {"layer_decay": 0.75},
}


def bare_loop(settings: TrainSettings, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Train one epoch as a tutorial would, on ready float batches; return images/s."""
    model = CustomCNN(10).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(groups_of(model, settings), settings.lr, fused=True)
    average = ModelEmaV3(model, decay=settings.ema, use_warmup=True) if settings.ema else None
    n_images, n_parts = sum(len(labels) for _, labels in batches), settings.accumulate
    started = time.perf_counter()
    for step, (images, labels) in enumerate(batches):
        for seen, of in zip(images.chunk(n_parts), labels.chunk(n_parts), strict=True):
            loss = functional.cross_entropy(model(seen), of) * (len(of) / len(labels))
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if average:
            average.update(model, step)
    return n_images / (time.perf_counter() - started)


def groups_of(model: CustomCNN, settings: TrainSettings) -> list[dict[str, Any]]:
    """Return a param group a stage, each at the rate of its depth, or one of all."""
    if settings.layer_decay is None:
        return [{"params": [*model.parameters()]}]
    layers = [*model.stages, model.head]
    rates = [settings.lr * settings.layer_decay ** (len(layers) - 1 - depth) for depth in range(len(layers))]
    return [{"params": [*layer.parameters()], "lr": rate} for layer, rate in zip(layers, rates, strict=True)]


def our_loop(trainer: Trainer) -> float:
    """Train one epoch with everything that the trainer does besides; return images/s without validation."""
    return next(trainer.epochs()).images_per_s


def measure(title: str, options: dict[str, Any]) -> bool:
    """Print the ratio under some options; return whether it is as large as it must be."""
    settings = TrainSettings.model_validate({"image_size": 32, "augment": "none", "epochs": 1, **options})
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
            print(f"{title}: trainer {ours:.0f} images/s, bare loop {bare:.0f}, ratio {ours / bare:.3f}", flush=True)
    ratio = statistics.median(ratios)
    print(f"{title}: median ratio {ratio:.3f} (at least {LEAST})", flush=True)
    return ratio >= LEAST


def main() -> int:
    """Measure each; return 1 if a ratio is too small."""
    reached = [measure(title, options) for title, options in OPTIONS.items()]
    return int(not all(reached))


if __name__ == "__main__":
    sys.exit(main())
