"""The images that a command line names: files, folders, patterns, and the bytes on standard input. No torch here."""

import glob
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageFile

from clfctl.data.pixels.image_file import load, open_image, read_image
from clfctl.data.pixels.unreadable import BadImageError
from clfctl.data.sources.walk import Seen, image_names
from clfctl.errors import DataError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clfctl.data.pixels.decode import Picture

STANDARD_INPUT = "-"
_URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")
_PATTERN = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Inputs:
    """What to look at: names of files, found again each time they are asked for, so that none is kept in memory.

    `unlisted` gets the folders that could not be listed, with the reason: the others are searched all the same.
    """

    words: tuple[str, ...]
    unlisted: dict[str, str] = field(default_factory=dict, compare=False)

    def __iter__(self) -> Iterator[str]:
        """Yield the name of each image."""
        return chain.from_iterable(self._names(word) for word in self.words)

    @property
    def folders(self) -> list[Path]:
        """The folders that are searched."""
        return [Path(word) for word in self.words if Path(word).is_dir()]

    def _names(self, word: str) -> Iterator[str]:
        if word == STANDARD_INPUT or not Path(word).is_dir():
            yield word
            return
        for name in image_names(word, Seen(unlisted=self.unlisted)):
            yield os.path.join(word, name)  # noqa: PTH118 (Path objects cost more, and there may be millions)


def find_inputs(words: Sequence[str], command: str = "predict") -> Inputs:
    """Return what the words name. Raises UsageError if one cannot name an image, or if none of them names any."""
    found = list(chain.from_iterable(_expanded(word, command) for word in words))
    if found.count(STANDARD_INPUT) > 1:
        raise UsageError(f"{STANDARD_INPUT} is given twice", "standard input holds one image")
    if STANDARD_INPUT in found and sys.stdin.isatty():
        raise UsageError(f"{STANDARD_INPUT} reads an image from standard input, which is the terminal", "pipe one in")
    inputs = Inputs(tuple(found))
    if not any(word == STANDARD_INPUT or os.path.lexists(word) for word in found):
        what = f"{found[0]} does not exist" if len(found) == 1 else f"none of the {len(found)} images exists"
        raise UsageError(what, "give image files, folders of images, or - for standard input")
    if next(iter(inputs), None) is None:
        for folder, why in inputs.unlisted.items():
            raise DataError(f"{folder} cannot be listed: {why}")
        raise UsageError(f"{found[0]} has no images", "images are recognized by their endings, such as .jpg and .png")
    return inputs


def why_no_path(word: str) -> str:
    """Return why a word cannot name a file, empty if it can."""
    if _URL.match(word):
        return "it is a URL, and clfctl does not read from the network"
    if "\0" in word:
        return "the name of a file has no null byte"
    return "it is empty" if not word else ""


def open_input(name: str) -> Image.Image:
    """Open an image by its name. Raises OSError: BadImageError with a reason, or what the system says."""
    if name == STANDARD_INPUT:
        content = sys.stdin.buffer.read()
        if not content:
            raise BadImageError("nothing came on standard input")
        return open_image(content)
    if stat.S_ISFIFO(Path(name).stat().st_mode):
        raise BadImageError("is not a file; what another program writes can be piped to -")
    return read_image(name)


def open_any(image: "str | os.PathLike[str] | Image.Image | NDArray[Any]") -> "Picture":
    """Return an image for a model to see: a file by its path, a Pillow image, or an array of pixels.

    An array is (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA; see `array_to_rgb`. What is given stays open and as
    it was. Raises OSError: BadImageError with a reason, or what the system says.
    """
    import numpy as np  # naming a model that is not there should not wait for it

    from clfctl.data.pixels.to_rgb import array_to_rgb

    if isinstance(image, np.ndarray):
        return array_to_rgb(image)
    if not isinstance(image, Image.Image):
        return read_image(image)
    if isinstance(image, ImageFile.ImageFile) and image.fp is not None and image.tile and image.tell() == 0:
        # Not decoded yet: from its bytes it is seen as its file is, and stays as it was.
        position = image.fp.tell()
        image.fp.seek(0)
        content = image.fp.read()
        image.fp.seek(position)
        return open_image(content)
    load(image)
    return image.copy()


def _expanded(word: str, command: str) -> Iterable[str]:
    """Return a word, or what it matches if it is a pattern and not the name of a file."""
    if why := why_no_path(word):
        hint = f"download it first, or pipe it in: curl -L {word} | clfctl {command} RUN -" if _URL.match(word) else ""
        raise UsageError(f"{word or 'an image'} cannot be read: {why}", hint)
    if not _PATTERN.search(word) or os.path.lexists(word):
        return [word]
    matches = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    if "**" in word:  # it matches what is in the folders besides
        matches = [each for each in matches if not Path(each).is_dir()]
    if not matches:
        raise UsageError(f"{word} matches no file", "** matches any folders: 'photos/**/*.jpg'")
    return matches
