"""The custom CNN: small, plain, trained from scratch."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

WIDTHS = (32, 64, 128, 256, 512)
MIN_IMAGE_SIZE = 2 ** len(WIDTHS)


class CustomCNN(nn.Module):
    """Five stages of (3x3 convolution, batch normalization, ReLU) twice and 2x2 max-pool; average pool; linear head.

    In the manner of VGG (Simonyan and Zisserman 2014, arXiv:1409.1556) with batch normalization: 4.72 M parameters
    with 10 classes, `dropout` before the head. Takes images (B, 3, H, W) float32, H and W at least 32; returns logits
    (B, n_classes).
    """

    def __init__(self, n_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        inputs = (3, *WIDTHS[:-1])
        self.stages = nn.Sequential(*(_stage(n_in, n_out) for n_in, n_out in zip(inputs, WIDTHS, strict=True)))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(WIDTHS[-1], n_classes)
        self._is_checkpointing = False

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the stages make of images: (B, 512, H / 32, W / 32)."""
        if self._is_checkpointing and torch.is_grad_enabled():
            for stage in self.stages:
                images = checkpoint(stage, images, use_reentrant=False)
            return images
        features: torch.Tensor = self.stages(images)
        return features

    def forward_head(self, features: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Return logits (B, n_classes) of the stages' features, or with `pre_logits` what the head takes: (B, 512)."""
        pooled: torch.Tensor = self.dropout(features.mean(dim=(2, 3)))
        logits: torch.Tensor = pooled if pre_logits else self.head(pooled)
        return logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (B, n_classes)."""
        return self.forward_head(self.forward_features(images))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute each stage again in the backward pass, instead of keeping what is inside; as timm's models do."""
        self._is_checkpointing = enable

    def get_classifier(self) -> nn.Module:
        """Return the head, as timm's models do."""
        return self.head


def _stage(n_in: int, n_out: int) -> nn.Sequential:
    # No bias: the normalization would take it away again.
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True),
        nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )  # fmt: skip
