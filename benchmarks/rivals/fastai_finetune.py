"""fastai on a folder of pictures with a network of timm's.

    python fastai_finetune.py PHOTOS WEIGHTS EPOCHS BASE_LR fine_tune|one_cycle|head

`fine_tune` is what its course teaches: the head alone for an epoch, then everything; `one_cycle` trains everything from
the beginning; `head` trains the classifier alone, with batch normalization as it was pretrained. Prints a line of JSON
an epoch, with the accuracy on PHOTOS/val.
"""

import json
import sys

import timm
from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    ResizeMethod,
    accuracy,
    params,
)
from safetensors.torch import load_file
from torch import nn

MODEL, SIZE, BATCH = "tf_efficientnet_lite0", 128, 32


class Lines(Callback):  # type: ignore[misc]  # fastai has no types
    """Says after each epoch what was reached when."""

    order = 90  # after the recorder

    def after_epoch(self) -> None:
        """Print the line; `values` holds the losses and metrics of each epoch."""
        print(json.dumps({"top1": float(self.learn.recorder.values[-1][-1])}), flush=True)


def body_and_head(model: nn.Module) -> list[list[nn.Parameter]]:
    """Return the parameters in the two groups that `fine_tune` freezes and trains at different rates."""
    head = params(model.classifier)
    known = {id(each) for each in head}
    return [[each for each in model.parameters() if id(each) not in known], head]


def main() -> None:
    """Train in the way that is asked for."""
    photos, weights, epochs, base_lr, way = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
    model = timm.create_model(MODEL, num_classes=10)
    kept = {name: value for name, value in load_file(weights).items() if "classifier" not in name}
    model.load_state_dict(kept, strict=False)
    loaders = ImageDataLoaders.from_folder(
        photos,
        train="train",
        valid="val",
        bs=BATCH,
        num_workers=0,
        item_tfms=Resize(SIZE, method=ResizeMethod.Squish),
        batch_tfms=[Normalize.from_stats((0.5,) * 3, (0.5,) * 3)],
    )
    learner = Learner(loaders, model, splitter=body_and_head, metrics=accuracy, cbs=Lines(), train_bn=way != "head")
    with learner.no_bar(), learner.no_logging():
        if way == "fine_tune":
            learner.fine_tune(epochs, base_lr=base_lr)
            return
        if way == "head":
            learner.freeze()
        learner.fit_one_cycle(epochs, base_lr)


if __name__ == "__main__":
    main()
