"""A model computed by torch: of any checkpoint, on any device."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from clfctl.data.loader import compute_alone
from clfctl.data.pixels.decode import Picture, Resize, resize
from clfctl.engine.step import Normalize
from clfctl.errors import ModelError
from clfctl.inference.predictor import Seen, look_at
from clfctl.inference.trained import TrainedModel
from clfctl.models.card import Card


@dataclass(frozen=True)
class TorchPredictor:
    """See `Predictor`."""

    trained: TrainedModel
    resize: Resize = resize
    is_parallel: bool = False

    @property
    def title(self) -> str:
        """Return the checkpoint and the device."""
        return f"{self.trained.file}, {self.computed_by}"

    @property
    def computed_by(self) -> str:
        """Return torch and the device."""
        return f"torch on {self.trained.precision.device}"

    @property
    def info(self) -> Card:
        """See `Predictor`."""
        return self.trained.info

    @property
    def batch_size(self) -> int:
        """Return few for the CPU, whose caches are soon full."""
        return 8 if self.trained.precision.device.type == "cpu" else 64

    def begin_thread(self) -> None:
        """Let the thread's resizes stay in it."""
        compute_alone()

    def look(self, image: Picture) -> Seen:
        """See `Predictor`."""
        return look_at(image, self.info, self.resize)

    @torch.inference_mode()
    def probabilities(self, images: Sequence[Seen]) -> NDArray[np.float32]:
        """See `Predictor`."""
        normalize = Normalize(self.info.preprocess, self.trained.precision.device)
        pixels = torch.from_numpy(np.stack([each for (each,) in images])).permute(0, 3, 1, 2)
        try:
            with self.trained.precision.autocast():
                logits = self.trained.model(normalize(pixels))
        except torch.OutOfMemoryError:
            what = f"{len(images)} images at once need more memory than there is"
            raise ModelError(what, "choose a smaller batch", field="batch_size") from None
        found: NDArray[np.float32] = logits.float().softmax(1).cpu().numpy()
        return found
