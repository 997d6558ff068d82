"""The time that a bare PyTorch loop takes divided by the trainer's: they take turns at the same batches, read before.

The trainer normalizes, checks, measures and records besides; a ratio is of an epoch. What reading costs is told by
data.py.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from timm.utils import ModelEmaV3
from torch.nn import functional

from clfctl.data.loader import Batch, Loader
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import build_parts, make_trainer
from clfctl.engine.micro_batches import Normalizer
from clfctl.models.custom_cnn import CustomCNN
from clfctl.runs.folder import create_run
from clfctl.settings.groups import TrainSettings

ROUNDS, EPOCHS = 2, 3
LEAST = 0.97
# What both loops do besides.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "average": {"ema": 0.999},
    "accumulation": {"accumulate": 4},
    "layer decay": {"layer_decay": 0.75},
}


class BareLoop:
    """Trains as a tutorial would, a step at a time, on ready float batches."""

    def __init__(self, settings: TrainSettings) -> None:
        self.model = CustomCNN(10).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(groups_of(self.model, settings), settings.lr, fused=True)
        self.average = ModelEmaV3(self.model, decay=settings.ema, use_warmup=True) if settings.ema else None
        self.n_parts, self.n_steps = settings.accumulate, 0

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Train on a batch, (B, 3, height, width) float32 and (B,) int64."""
        for seen, of in zip(images.chunk(self.n_parts), labels.chunk(self.n_parts), strict=True):
            loss = functional.cross_entropy(self.model(seen), of) * (len(of) / len(labels))
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average:
            self.average.update(self.model, self.n_steps)
        self.n_steps += 1


class InTurns:
    """A loader whose reader takes turns with a bare loop, a batch each: whatever slows the machine slows both."""

    def __init__(self, loader: Loader, bare: BareLoop, normalize: Normalizer) -> None:
        self._loader, self._bare, self._normalize = loader, bare, normalize
        self.ours_s = self.bare_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Yield what the loader does, read before; what is done until the next is asked for is our time."""
        for batch in [*self._loader.batches(epoch, start)]:
            images = self._normalize(batch.images)
            begun_s = time.perf_counter()
            self._bare.step(images, batch.labels)
            self.bare_s += time.perf_counter() - begun_s
            begun_s = time.perf_counter()
            yield batch
            self.ours_s += time.perf_counter() - begun_s


def groups_of(model: CustomCNN, settings: TrainSettings) -> list[dict[str, Any]]:
    """Return a param group a stage, each at the rate of its depth, or one of all."""
    if settings.layer_decay is None:
        return [{"params": [*model.parameters()]}]
    layers = [*model.stages, model.head]
    rates = [settings.lr * settings.layer_decay ** (len(layers) - 1 - depth) for depth in range(len(layers))]
    return [{"params": [*layer.parameters()], "lr": rate} for layer, rate in zip(layers, rates, strict=True)]


def measure(title: str, options: dict[str, Any]) -> bool:
    """Print the ratio under some options; return whether it is as large as it must be."""
    settings = TrainSettings.model_validate({"image_size": 32, "augment": "none", "epochs": EPOCHS, **options})
    data = open_data(settings, settings.seed)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            trainer = make_trainer(build_parts(settings, data), create_run(Path(folder), "{n}", ""))
            turns = InTurns(trainer.train_loader, BareLoop(settings), trainer.normalize)
            trainer.train_loader = cast(Loader, turns)
            for _ in trainer.epochs():
                ratios.append(turns.bare_s / turns.ours_s)
                turns.bare_s = turns.ours_s = 0.0
    ratio, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(f"{title}: median ratio {ratio:.3f}, {low:.3f} to {high:.3f} (at least {LEAST})", flush=True)
    return ratio >= LEAST


def main() -> int:
    """Measure each; return 1 if a ratio is too small."""
    reached = [measure(title, options) for title, options in OPTIONS.items()]
    return int(not all(reached))


if __name__ == "__main__":
    sys.exit(main())
