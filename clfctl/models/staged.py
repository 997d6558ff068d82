"""What networks of clfctl's own have in common: stages, a pool over the last map, dropout and a linear head."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class StagedNet(nn.Module):
    """`stages` from images (B, 3, H, W) float32 to a map (B, `n_features`, h, w), pooled, and a linear head.

    Has the parts of timm's models that are asked for: forward_features, forward_head, get_classifier and
    set_grad_checkpointing.
    """

    def __init__(self, stages: Sequence[nn.Module], n_features: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(n_features, n_classes)
        self._is_checkpointing = False

    def pool(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, n_features) of the last map: its mean."""
        return features.mean(dim=(2, 3))

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the stages make of images."""
        if self._is_checkpointing and torch.is_grad_enabled():
            for stage in self.stages:
                images = checkpoint(stage, images, use_reentrant=False)
            return images
        features: torch.Tensor = self.stages(images)
        return features

    def forward_head(self, features: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Return logits (B, n_classes) of the last map, or with `pre_logits` what the head takes."""
        pooled: torch.Tensor = self.dropout(self.pool(features))
        logits: torch.Tensor = pooled if pre_logits else self.head(pooled)
        return logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (B, n_classes)."""
        return self.forward_head(self.forward_features(images))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute each stage again in the backward pass, instead of keeping what is inside."""
        self._is_checkpointing = enable

    def get_classifier(self) -> nn.Module:
        """Return the head."""
        return self.head
