"""Opening and decoding image files: the one way for training, evaluation, prediction, caches and benchmarks.

An image is bad if Pillow refuses it when it decodes its file. Torch is not needed here.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from clfctl.data.pixels.heic import is_maybe_heic, let_pillow_read_heic
from clfctl.data.pixels.quiet import silence_tiff
from clfctl.data.pixels.unreadable import BadImageError, reason_of

# A pipe would be waited for; whether it is one is seen once it is open.
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_PNG, _PNG_DEPTH_AT = b"\x89PNG\r\n\x1a\n", 24
_TIFF = (b"II", b"MM")


def read_image(path: str | os.PathLike[str]) -> Image.Image:
    """Open an image file; only its header is decoded yet. Raises OSError: BadImageError, or what the system says.

    The bytes are read at once: in each of the dozen small reads that Pillow would make, the thread gives up the GIL
    and waits for it again. With two threads that cost a tenth of the speed.
    """
    try:
        file = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise BadImageError("is not a regular file") from None
        raise
    except ValueError as error:  # a null byte
        raise BadImageError(f"is not the name of a file: {error}") from None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise BadImageError("is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
        size = status.st_size
        content = os.read(file, size)
        while len(content) < size and (more := os.read(file, size - len(content))):  # as network file systems may give
            content += more
    finally:
        os.close(file)
    return open_image(content)


def open_image(content: bytes, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Open an image from the bytes of its file, of any format or of one of Pillow's `formats`; as `read_image`."""
    if not content:
        raise BadImageError("has no bytes")
    if content.startswith(_TIFF):
        silence_tiff()
    if is_maybe_heic(content):
        let_pillow_read_heic()
    try:
        image = Image.open(BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        raise UnidentifiedImageError("cannot identify image file") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises nearly anything for a damaged header
        raise BadImageError(reason_of(error)) from error
    if "transparency" in image.info and content.startswith(_PNG):
        _rescale_key(image, content[_PNG_DEPTH_AT])
    return image


def load(image: Image.Image) -> None:
    """Decode the pixels of an opened image, where that is not done yet. Raises BadImageError if it cannot be."""
    if image.format == "TIFF":
        silence_tiff()
    with decoding():
        image.load()


@contextmanager
def decoding() -> Iterator[None]:
    """Turn what Pillow raises inside, which may be nearly anything, into a BadImageError; MemoryError stays."""
    try:
        yield
    except (BadImageError, MemoryError):
        raise
    except Exception as error:
        raise BadImageError(reason_of(error)) from error


def _rescale_key(image: Image.Image, depth: int) -> None:
    """Put the transparent colour of a PNG, given in `depth` bits, on the scale of the pixels that Pillow makes."""
    key = image.info["transparency"]
    if isinstance(key, tuple) and depth == 16:
        image.info["transparency"] = tuple(each >> 8 for each in key)
    elif isinstance(key, int) and image.mode == "L" and depth < 8:
        image.info["transparency"] = key * 255 // ((1 << depth) - 1)
