"""Mixup and CutMix: images of a batch mixed on the device, and the loss to match."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import torch

from clfctl.data.keys import MIXING, hash_key

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Mixture:
    """What is done to a batch: each image is mixed with the one before it, the first with the last.

    `share` of an image stays its own. Without a `box` every pixel is a mean of both (mixup); with one, (left, top,
    right, bottom) in pixels, it shows what the other has there (CutMix).
    """

    share: float
    box: Box | None = None

    def images(self, images: torch.Tensor, others: torch.Tensor | None = None) -> torch.Tensor:
        """Return images (B, C, H, W), floating point, mixed; those that were given may be written to.

        `others` are what they are mixed with, for a part of a batch.
        """
        others = images.roll(1, 0) if others is None else others
        if self.box is None:
            return images.mul_(self.share).add_(others, alpha=1 - self.share)
        left, top, right, bottom = self.box
        images[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
        return images

    def loss(
        self,
        loss_of: Callable[[torch.Tensor], torch.Tensor],
        labels: torch.Tensor,
        others: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the loss for both labels of each image, in their shares; `loss_of` is that for labels (B,)."""
        others = labels.roll(1, 0) if others is None else others
        return self.share * loss_of(labels) + (1 - self.share) * loss_of(others)


@dataclass(frozen=True)
class Mixer:
    """Draws the mixture of each step from (seed, step), on the host: the device is not waited for.

    `mixup` and `cutmix` are the alphas of the Beta(alpha, alpha) that shares are drawn from, 0: never. With both, each
    batch gets either, half of the time. mixup: Zhang et al. 2017, arXiv:1710.09412; CutMix: Yun et al. 2019,
    arXiv:1905.04899.
    """

    mixup: float
    cutmix: float
    seed: int

    def __bool__(self) -> bool:
        return bool(self.mixup or self.cutmix)

    def mixture(self, step: int, height: int, width: int) -> Mixture | None:
        """Return the mixture of a step (from 0) for images of a size, in pixels; None: leave them as they are."""
        if not self:
            return None
        draw = random.Random(hash_key(MIXING, self.seed, step))
        cuts = draw.random() < 0.5 if self.mixup and self.cutmix else bool(self.cutmix)
        alpha = self.cutmix if cuts else self.mixup
        share = draw.betavariate(alpha, alpha)
        if not cuts:
            return Mixture(share)
        box = _box(share, draw.randrange(width), draw.randrange(height), width, height)
        covered = (box[2] - box[0]) * (box[3] - box[1]) / (width * height)
        return Mixture(1 - covered, box)


def _box(share: float, x: int, y: int, width: int, height: int) -> Box:
    """Return the box around (x, y) that covers 1 - share of an image, or less where it is cut off at the edge."""
    half = 0.5 * math.sqrt(1 - share)
    half_width, half_height = int(half * width), int(half * height)
    left, right = max(0, x - half_width), min(width, x + half_width)
    return left, max(0, y - half_height), right, min(height, y + half_height)
