"""Models of random weights whose answers differ from photograph to photograph."""

import random
from functools import cache

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn

from clfctl.data.pixels.decode import Pixels
from clfctl.data.pixels.transform import Preprocess, to_pixels
from clfctl.inference.export import FromPixels
from clfctl.inference.predictor import Seen
from clfctl.models.custom_cnn import CustomCNN

NAMES = ("crane", "flower", "stone", "water")


@cache
def crops(size: int) -> Pixels:
    """Sixteen parts of scikit-learn's two photographs as a model sees them, (16, size, size, 3) uint8."""
    draw, found = random.Random(0), []
    for photograph in load_sample_images().images:
        for _ in range(8):
            side, left, top = draw.randint(size, 400), draw.randint(0, 200), draw.randint(0, 27)
            part = Image.fromarray(photograph[top : top + side, left : left + side])
            found.append(to_pixels(part, Preprocess(size)))
    return np.stack(found)


def seen(pixels: Pixels) -> list[Seen]:
    """Images (B, H, W, 3) as a predictor takes them."""
    return [(each,) for each in pixels]


def with_opinions(model: nn.Module, size: int) -> nn.Module:
    """Give a model of random weights batch statistics of real images, and answers that differ from image to image."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the mean of all batches: here of one
    images, whole = torch.from_numpy(crops(size)), FromPixels(model, Preprocess(size))
    with torch.no_grad():
        whole.train()(images)
        logits = whole.eval()(images).log()
        head = last_layer(model)
        head.weight *= 2 / logits.std(0, keepdim=True).T
        head.bias.zero_()
        head.bias.sub_(whole(images).log().mean(0))
    return model


def last_layer(model: nn.Module) -> nn.Linear:
    """Return the head of a model, the first linear layer that it has."""
    return next(layer for layer in model.modules() if isinstance(layer, nn.Linear))


def build(name: str) -> nn.Module:
    """Return a model for `NAMES`, of the same random weights each time."""
    torch.manual_seed(0)
    if name == "custom":
        return CustomCNN(len(NAMES), 0.0)
    import timm

    model: nn.Module = timm.create_model(name, num_classes=len(NAMES))
    return model
