"""The training losses: cross-entropy, focal, and binary cross-entropy, each with class weights and label smoothing."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from clfctl.settings.optimization import LossName


@dataclass(frozen=True)
class Loss:
    """The loss of a batch: the mean over its images, weighted with `class_weights` (n_classes,) by those of the labels.

    Every kind is linear in the target, so that the loss for mixed labels is the mixture of the losses for each.

    `focal`: Lin et al. 2017, arXiv:1708.02002, for classes that exclude each other: what is missing of a class's
    probability, to the power of `focal_gamma`, times its cross-entropy; with 0 it is cross-entropy. `bce`: Wightman et
    al. 2021, arXiv:2110.00476: each class is a question of its own, answered with yes or no; the mean over the classes.
    """

    kind: LossName = "cross-entropy"
    label_smoothing: float = 0.0
    focal_gamma: float = 2.0
    class_weights: torch.Tensor | None = None

    def __call__(
        self, logits: torch.Tensor, labels: torch.Tensor, total: torch.Tensor | float | None = None
    ) -> torch.Tensor:
        """Return the loss of logits (B, C) for labels (B,) int64, a scalar.

        With `total`, what `total_of` says of the whole batch, they are a part of it: the losses of its parts sum up to
        that of the whole.
        """
        if self.kind != "cross-entropy" or self.class_weights is not None:
            # Weights and logits must be of one type, and powers need its digits; else autocast may choose.
            logits = in_full(logits)
        if self.kind == "cross-entropy":
            reduction = "mean" if total is None else "sum"
            loss = functional.cross_entropy(
                logits, labels, self.class_weights, reduction=reduction, label_smoothing=self.label_smoothing
            )
            return loss if total is None else loss / total
        each = self._focal(logits, labels) if self.kind == "focal" else self._binary(logits, labels)
        return each.sum() / (self.total_of(labels) if total is None else total)

    def total_of(self, labels: torch.Tensor) -> torch.Tensor | int:
        """Return what the sum over the images of labels (B,) is divided by: their number, or their classes' weights."""
        return len(labels) if self.class_weights is None else self.class_weights[labels].sum()

    def _focal(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the weighted loss of each image, (B,)."""
        log_p = logits.log_softmax(1)
        # Not 0: the derivative of a power below 1 is infinite there.
        missing = (-log_p.expm1()).clamp_min(torch.finfo(log_p.dtype).tiny)
        each = -log_p * missing**self.focal_gamma
        each = each if self.class_weights is None else each * self.class_weights
        of_label = each.gather(1, labels[:, None]).squeeze(1)
        if not self.label_smoothing:
            return of_label
        return of_label.lerp(each.mean(1), self.label_smoothing)

    def _binary(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the weighted loss of each image, (B,)."""
        no = self.label_smoothing / logits.shape[1]
        target = torch.full_like(logits, no).scatter_(1, labels[:, None], 1 - self.label_smoothing + no)
        each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(1)
        return each if self.class_weights is None else each * self.class_weights[labels]


def in_full(logits: torch.Tensor) -> torch.Tensor:
    """Return logits as float32 at least."""
    return logits.float() if logits.element_size() < 4 else logits
