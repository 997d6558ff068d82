"""The custom CNN: small, plain, trained from scratch."""

from torch import nn

from clfctl.models.staged import StagedNet

WIDTHS = (32, 64, 128, 256, 512)
MIN_IMAGE_SIZE = 2 ** len(WIDTHS)


class CustomCNN(StagedNet):
    """Five stages of (3x3 convolution, batch normalization, ReLU) twice and 2x2 max-pool; average pool; linear head.

    In the manner of VGG (Simonyan and Zisserman 2014, arXiv:1409.1556) with batch normalization: 4.72 M parameters
    with 10 classes, `dropout` before the head. Takes images (B, 3, H, W) float32, H and W at least 32; returns logits
    (B, n_classes).
    """

    def __init__(self, n_classes: int, dropout: float = 0.0) -> None:
        inputs = (3, *WIDTHS[:-1])
        stages = [_stage(n_in, n_out) for n_in, n_out in zip(inputs, WIDTHS, strict=True)]
        super().__init__(stages, WIDTHS[-1], n_classes, dropout)


def _stage(n_in: int, n_out: int) -> nn.Sequential:
    # No bias: the normalization would take it away again.
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True),
        nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )  # fmt: skip
