"""A trained model that can be asked, whatever computes it."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clfctl.data.pixels.decode import Picture, Pixels, Resize, see_and_close
from clfctl.data.pixels.transform import to_pixels
from clfctl.inference.inputs import open_any
from clfctl.models.card import Card

# An image as a model is to see it: (H, W, 3) uint8 RGB, one for each of the card's views. A single model has one.
Seen = tuple[Pixels, ...]


class Predictor(Protocol):
    """A model in evaluation mode with what it needs to know."""

    @property
    def title(self) -> str:
        """Return what is asked, for people: the file, and what computes it."""
        ...

    @property
    def computed_by(self) -> str:
        """Return what computes it, and in what where that is no usual number."""
        ...

    @property
    def info(self) -> Card:
        """Return what the model's file says of it."""
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

    def look(self, image: Picture) -> Seen:
        """Return what the model is to see of an image. Raises OSError where it cannot be decoded."""
        ...

    def probabilities(self, images: Sequence[Seen]) -> NDArray[np.float32]:
        """Return (B, n_classes) float32, each row of sum 1, of B images as `look` gives them. Raises ModelError."""
        ...


def look_at(image: Picture, card: Card, resize: Resize) -> Seen:
    """Return an image in each of the views of a model's card. Raises OSError where it cannot be decoded."""
    first, *others = card.views
    # Opened again for each: of a JPEG that was scaled while it was decoded, another view would get other pixels.
    again = [open_any(image) for _ in others]
    pixels = [to_pixels(image, first, resize)]
    for one, view in zip(again, others, strict=True):
        pixels.append(see_and_close(one, partial(to_pixels, preprocess=view, resize=resize)))
    return tuple(pixels)
