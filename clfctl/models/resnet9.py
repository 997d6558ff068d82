"""ResNet-9: a residual network for images of 28 to 64 pixels, which timm's, with a stride of 32, shrink to nothing."""

import torch
from torch import nn

from clfctl.models.staged import StagedNet

MIN_IMAGE_SIZE = 8


class ResNet9(StagedNet):
    """Four stages, of which the second and the last have a residual block of two convolutions; max-pool; linear head.

    The network of David Page's "How to train your ResNet" (2018, myrtle.ai), which was the fastest to 94 % on CIFAR-10:
    with a `width` of 64 it has 6.57 M parameters with 10 classes, with 16 it has 0.41 M. `dropout` before the head.
    Takes images (B, 3, H, W) float32, H and W at least 8; returns logits (B, n_classes).
    """

    def __init__(self, n_classes: int, dropout: float = 0.0, *, width: int = 64) -> None:
        widths = [width * 2**n for n in range(4)]
        stages = [
            _convolution(3, widths[0]),
            nn.Sequential(_convolution(widths[0], widths[1]), nn.MaxPool2d(2), Residual(widths[1])),
            nn.Sequential(_convolution(widths[1], widths[2]), nn.MaxPool2d(2)),
            nn.Sequential(_convolution(widths[2], widths[3]), nn.MaxPool2d(2), Residual(widths[3])),
        ]
        super().__init__(stages, widths[-1], n_classes, dropout)

    def pool(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, 8 * width) of the last map: its maximum."""
        return features.amax(dim=(2, 3))


class Residual(nn.Module):
    """Adds to a map what two convolutions make of it (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(_convolution(width, width), _convolution(width, width))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return a map of the same shape."""
        added: torch.Tensor = self.convolutions(features)
        return features + added


def _convolution(n_in: int, n_out: int) -> nn.Sequential:
    # No bias: the normalization would take it away again.
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True))
