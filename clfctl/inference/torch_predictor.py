"""A model computed by torch: of any checkpoint, on any device."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clfctl.data.loader import compute_alone
from clfctl.data.pixels.decode import Pixels, Resize, resize
from clfctl.engine.device import Precision
from clfctl.engine.step import Normalize
from clfctl.errors import ModelError
from clfctl.models.card import Card


@dataclass(frozen=True)
class TorchPredictor:
    """See `Predictor`."""

    file: Path
    model: nn.Module
    info: Card
    precision: Precision
    resize: Resize = resize
    is_parallel: bool = False

    @property
    def title(self) -> str:
        """Return the checkpoint and the device."""
        return f"{self.file}, torch on {self.precision.device}"

    @property
    def batch_size(self) -> int:
        """Return few for the CPU, whose caches are soon full."""
        return 8 if self.precision.device.type == "cpu" else 64

    def begin_thread(self) -> None:
        """Let the thread's resizes stay in it."""
        compute_alone()

    @torch.inference_mode()
    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """See `Predictor`."""
        normalize = Normalize(self.info.preprocess, self.precision.device)
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        try:
            with self.precision.autocast():
                logits = self.model(normalize(images))
        except torch.OutOfMemoryError:
            what = f"{len(pixels)} images at once need more memory than there is"
            raise ModelError(what, "choose a smaller batch", field="batch_size") from None
        found: NDArray[np.float32] = logits.float().softmax(1).cpu().numpy()
        return found
