"""fastai on the transfer example: the same files, network, weights and cores; prints seconds and accuracy an epoch.

    python benchmarks/rivals/fastai_finetune.py FOLDER [epochs]

Needs `pip install fastai`. As fastai's `fine_tune`: one epoch of the new classifier, then all, at its own defaults.
"""

import sys
import time
from pathlib import Path

import timm
import torch
from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    accuracy,
    aug_transforms,
    params,
)
from safetensors.torch import load_file

MODEL, SIZE, BATCH = "tf_efficientnet_lite0", 128, 32
STARTED = time.perf_counter()


class Clock(Callback):
    """Prints when each epoch ended, since the process began to train, and its accuracy."""

    def after_epoch(self) -> None:
        """Print a line."""
        print(
            f"{time.perf_counter() - STARTED:.1f} s  accuracy {100 * self.recorder.metrics[0].value:.2f} %", flush=True
        )


def main() -> None:
    """Train."""
    source, epochs = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    model = timm.create_model(MODEL, num_classes=10)
    weights = load_file(source / "lite0.safetensors")
    model.load_state_dict({k: v for k, v in weights.items() if "classifier" not in k}, strict=False)
    model.to(memory_format=torch.channels_last)
    dls = ImageDataLoaders.from_folder(
        source / "photos",
        train="train",
        valid="val",
        bs=BATCH,
        item_tfms=Resize(SIZE),
        batch_tfms=[*aug_transforms(), Normalize.from_stats([0.5] * 3, [0.5] * 3)],
        num_workers=0,
    )

    def splitter(net: torch.nn.Module) -> list[list[torch.nn.Parameter]]:
        head = [*net.get_classifier().parameters()]
        of_head = {id(each) for each in head}
        return [[each for each in params(net) if id(each) not in of_head], head]

    learner = Learner(dls, model, metrics=accuracy, splitter=splitter, cbs=Clock())
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(epochs)


if __name__ == "__main__":
    main()
