"""A trained model that can be asked, whatever computes it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clfctl.data.pixels.decode import Pixels, Resize
from clfctl.models.card import Card


class Predictor(Protocol):
    """A model in evaluation mode with what it needs to know."""

    @property
    def title(self) -> str:
        """Return what is asked, for people: the file, and what computes it."""
        ...

    @property
    def info(self) -> Card:
        """Return what the model's file says of it."""
        ...

    @property
    def resize(self) -> Resize:
        """Return the resize that goes with it."""
        ...

    @property
    def batch_size(self) -> int:
        """Return how many images at once it is fast with."""
        ...

    @property
    def is_parallel(self) -> bool:
        """Return whether threads that decode may also compute, each alone; else one thread asks, and many compute."""
        ...

    def begin_thread(self) -> None:
        """Prepare a thread that decodes."""
        ...

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return (B, n_classes) float32, each row of sum 1, of images (B, H, W, 3) uint8 RGB. Raises ModelError."""
        ...
