"""Images by number: files on disk, arrays in memory, or a torchvision data set."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clfctl.data.pixels.image_file import decoding, read_image

if TYPE_CHECKING:
    from clfctl.data.pixels.decode import Picture  # it needs torch


class ImageSource(Protocol):
    """Images and their labels; `open` may be called from several threads at once."""

    @property
    def labels(self) -> Sequence[int]:
        """Return the number of each image's class."""
        ...

    def open(self, index: int) -> "Picture":
        """Return an image, not necessarily decoded yet. Raises OSError or another error of Pillow's if it cannot."""
        ...

    def name(self, index: int) -> str:
        """Return what the user knows the image by."""
        ...


@dataclass(frozen=True)
class FileImages:
    """Image files; `weights` say how often each is drawn in training, relative to the others.

    `groups` are numbers of what each belongs to, where a table says so.
    """

    paths: Sequence[str | Path]
    labels: Sequence[int]
    weights: Sequence[float] | None = None
    groups: Sequence[int] | None = None

    def open(self, index: int) -> Image.Image:
        """Open a file; Pillow reads the pixels when they are asked for."""
        return read_image(self.paths[index])

    def name(self, index: int) -> str:
        """Return the path."""
        return os.fspath(self.paths[index])


@dataclass(frozen=True)
class ArrayImages:
    """Images in memory: (N, H, W) grey or (N, H, W, 3) RGB, uint8."""

    title: str
    images: NDArray[np.uint8]
    labels: Sequence[int]

    def open(self, index: int) -> NDArray[np.uint8]:
        """Return one array as (H, W, 3) RGB, not by way of Pillow, whose calls took half of a small one's time."""
        image = self.images[index]
        return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)

    def name(self, index: int) -> str:
        """Return the set's name and the number."""
        return f"{self.title} image {index}"


@dataclass(frozen=True)
class TorchvisionImages:
    """A torchvision data set that yields (PIL image, label)."""

    title: str
    data: Any
    labels: Sequence[int]

    def open(self, index: int) -> "Picture":
        """Return the image as torchvision opens it, or the array that it would make an image of."""
        arrays = getattr(self.data, "data", None)  # of CIFAR: (N, H, W, 3) uint8
        if isinstance(arrays, np.ndarray) and arrays.dtype == np.uint8 and arrays.ndim == 4 and arrays.shape[3] == 3:
            array: NDArray[np.uint8] = arrays[index]
            return array
        with decoding():  # it may decode, and then raises what Pillow does
            image: Image.Image = self.data[index][0]
        return image

    def name(self, index: int) -> str:
        """Return the set's name and the number."""
        return f"{self.title} image {index}"


@dataclass(frozen=True)
class Part:
    """Some images of a source: the training, validation or test images.

    With `chances` (N,) an epoch of training draws N images with replacement, in proportion to them; else each once.
    `groups` has the number of what each image of the source belongs to, None if nothing belongs together.
    """

    source: ImageSource
    indices: Sequence[int]
    chances: NDArray[np.float64] | None = None
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Data:
    """Everything to train on. `is_small` says that the images are whole objects of a few pixels, not photographs.

    `notes` are sentences about what the user may not expect of the data, such as what was left out; `left_out` counts
    the files that are not images by their ending: `12 .heic, 3 .txt`.
    """

    classes: tuple[str, ...]
    train: Part
    val: Part
    test: Part | None = None
    is_small: bool = False
    notes: tuple[str, ...] = ()
    left_out: str = ""


@dataclass(frozen=True)
class Opened:
    """The images of a data set by part, before any are kept for validation; the rest is as in `Data`."""

    classes: tuple[str, ...]
    train: ImageSource
    val: ImageSource | None = None
    test: ImageSource | None = None
    is_small: bool = False
    notes: tuple[str, ...] = ()
    left_out: str = ""
