"""The pixels of a part of an opened image, upright and in RGB; JPEG by libjpeg-turbo, everything else by Pillow.

torch is imported where it is called: prediction with ONNX Runtime decodes without it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFile

from clfctl.data.pixels.fit import Box
from clfctl.data.pixels.image_file import decoding, load
from clfctl.data.pixels.to_rgb import to_rgb, value_range
from clfctl.settings.data import Interpolation

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
Pixels = NDArray[np.uint8]
Resize = Callable[[Pixels, int, int, Interpolation], Pixels]  # (H, W, 3) uint8, height, width
Picture = Image.Image | Pixels  # opened by Pillow, or (H, W, 3) uint8 RGB that is upright and decoded already
WHOLE_STEPS = (8, 4, 2)  # what libjpeg divides the sides by at hardly any cost
# What torch has a kernel of integers for; the others are Pillow's.
_BY_TORCH: tuple[Interpolation, ...] = ("bilinear", "bicubic")
ORIENTATION = 0x0112

# EXIF orientation: is the picture stored on its side, and is it, once it stands, mirrored in x, in y?
TURNS = {
    1: (False, False, False), 2: (False, True, False), 3: (False, True, True), 4: (False, False, True),
    5: (True, False, False), 6: (True, True, False), 7: (True, True, True), 8: (True, False, True),
}  # fmt: skip


def see_and_close(image: Picture, see: Callable[[Picture], T]) -> T:
    """Return what `see` makes of an image, and close it."""
    if isinstance(image, np.ndarray):
        return see(image)
    with image:
        return see(image)


def orientation_of(image: Picture) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none, or none that can be read.

    Raises BadImageError where the pixels have to be decoded before, as those of a PNG, whose EXIF may come after them.
    """
    if isinstance(image, np.ndarray) or image.format == "TIFF":
        return 1  # Pillow turns TIFF itself
    if type(image).getexif is not Image.Image.getexif:
        # It would decode the pixels itself. What is wrong with them must come out here: it would not a second time.
        load(image)
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF raises a dozen kinds; a picture that can be seen is not lost for it
        return 1
    return value if value in TURNS else 1


def upright_size(image: Picture, orientation: int) -> tuple[int, int]:
    """Return width and height of the image as people see it, in pixels; only the header is read."""
    if isinstance(image, np.ndarray):
        return image.shape[1], image.shape[0]
    return (image.height, image.width) if TURNS[orientation][0] else image.size


def decode(image: Picture, orientation: int, box: Box, least: tuple[int, int]) -> Pixels:
    """Return the pixels in `box` of the upright image, (H, W, 3) uint8 RGB, contiguous.

    A JPEG may come out at 1/2, 1/4 or 1/8 of its size, as long as the box keeps `least` (H, W) pixels; the box is then
    rounded to whole pixels of what was decoded. Transparent images are laid on white, 16-bit ones scaled, of
    animated ones the first picture is taken. Raises BadImageError if the image cannot be decoded.
    """
    if isinstance(image, np.ndarray):
        return np.require(image[box[1] : box[3], box[0] : box[2]], requirements=["C", "W"])
    stored = _stored_box(box, image.size, orientation)
    height, width = box[3] - box[1], box[2] - box[0]
    step = next((n for n in WHOLE_STEPS if height >= n * least[0] and width >= n * least[1]), 1)
    whole = _decode_jpeg(image, step)
    if whole is None:
        part = _decode_by_pillow(image, stored, step)
    else:
        left, top, right, bottom = _scaled(stored, image.size, (whole.shape[1], whole.shape[0]))
        part = whole[top:bottom, left:right]
    is_turned, mirrors_x, mirrors_y = TURNS[orientation]
    part = part.swapaxes(0, 1) if is_turned else part
    part = part[:, ::-1] if mirrors_x else part
    part = part[::-1] if mirrors_y else part
    # One copy, and only where it is needed: the resize wants whole rows, and torch memory that may be written to.
    return np.require(part, requirements=["C", "W"])


def _decode_jpeg(image: Image.Image, step: int) -> Pixels | None:
    """Return the whole JPEG at 1/step of its size; None if it is no JPEG, or one that Pillow must look at."""
    # An MPO is a JPEG with more pictures behind it. CMYK needs what Pillow knows of Adobe's inks.
    if not isinstance(image, ImageFile.ImageFile) or image.format not in ("JPEG", "MPO") or image.mode == "CMYK":
        return None
    if image.fp is None:  # decoded before
        return None
    position = image.fp.tell()
    image.fp.seek(0)
    content = image.fp.read()
    image.fp.seek(position)
    width, height = image.size
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(content, min_height=-(-height // step), min_width=-(-width // step))
    except ValueError:  # also for what a lenient decoder only warns of: Pillow decides
        return None
    # Another size than Pillow read: two headers in one file, and Pillow's is the one that was checked.
    expected = (-(-height // step), -(-width // step), 3)
    return pixels if pixels.shape == expected else None


def _decode_by_pillow(image: Image.Image, box: Box, step: int) -> Pixels:
    before = image.size
    with decoding():
        if step > 1 and image.format in ("JPEG", "MPO"):
            image.draft(None, (before[0] // step, before[1] // step))
        load(image)
        return np.asarray(to_rgb(image.crop(_scaled(box, before, image.size)), value_range(image)))


def _stored_box(box: Box, stored_size: tuple[int, int], orientation: int) -> Box:
    """Return where a box of the upright image lies in the image as it is stored."""
    is_turned, mirrors_x, mirrors_y = TURNS[orientation]
    width, height = stored_size[::-1] if is_turned else stored_size
    left, top, right, bottom = box
    if mirrors_x:
        left, right = width - right, width - left
    if mirrors_y:
        top, bottom = height - bottom, height - top
    return (top, left, bottom, right) if is_turned else (left, top, right, bottom)


def _scaled(box: Box, before: tuple[int, int], after: tuple[int, int]) -> Box:
    """Return the box in an image that was scaled from `before` to `after`: whole pixels, at least one."""
    if before == after:
        return box
    (left, right), (top, bottom) = (_scaled_side(box[i], box[i + 2], before[i], after[i]) for i in (0, 1))
    return left, top, right, bottom


def _scaled_side(low: int, high: int, before: int, after: int) -> tuple[int, int]:
    # By the step, not by the two sizes: 375 pixels become 94, but every decoded pixel stands for four.
    step = round(before / after) or 1
    first = min(round(low / step), after - 1)
    return first, max(first + 1, min(round(high / step), after))


def resize(pixels: Pixels, height: int, width: int, interpolation: Interpolation = "bilinear") -> Pixels:
    """Return (height, width, 3) uint8 of (H, W, 3) uint8 contiguous, antialiased when it gets smaller.

    The same as Pillow's resize and torchvision's, to one level where it is bilinear and two where it is bicubic, at
    five times Pillow's speed: torch's kernel of integers for channels-last memory. It runs in the calling thread alone
    and leaves the GIL. Other interpolations are Pillow's own.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    if interpolation not in _BY_TORCH:
        return resize_by_pillow(pixels, height, width, interpolation)
    from torch.nn import functional

    resized = functional.interpolate(_planes(pixels), (height, width), mode=interpolation, antialias=True)
    return _pixels(resized)


def resize_by_pillow(pixels: Pixels, height: int, width: int, interpolation: Interpolation = "bilinear") -> Pixels:
    """Return what `resize` returns, without torch: for one image that costs seconds to import."""
    if pixels.shape[:2] == (height, width):
        return pixels
    if interpolation in _BY_TORCH:
        return columns_first(pixels, height, width, interpolation)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling[interpolation.upper()]))


def columns_first(pixels: Pixels, height: int, width: int, interpolation: Interpolation) -> Pixels:
    """Return what Pillow's resize made of (H, W, 3) uint8 before Pillow 13, and torch and ONNX Runtime make.

    Pillow 13 begins with the rows of a tall image, and what goes beyond 0 to 255 is cut off between the two.
    """
    image, kernel = Image.fromarray(pixels), Image.Resampling[interpolation.upper()]
    return np.asarray(image.resize((width, image.height), kernel).resize((width, height), kernel))


def reduced(pixels: Pixels, times: int) -> Pixels:
    """Return (H, W, 3) uint8 with the sides divided by a whole number, rounded up: each pixel the mean of a square."""
    return np.asarray(Image.fromarray(pixels).reduce(times)) if times > 1 else pixels


def mirrored(pixels: Pixels) -> Pixels:
    """Return (H, W, 3) uint8 with left and right exchanged.

    By torch, which has a kernel for it: 16 µs for 224 x 224, where NumPy's strided copy takes 212.
    """
    return _pixels(_planes(pixels).flip(3))


def _planes(pixels: Pixels) -> "torch.Tensor":
    import torch

    # The axes are exchanged by NumPy: for every call of torch's the thread gives up the GIL and waits for it again.
    # By reshape, because torch sees channels-last memory only if the stride of a single image is an image.
    return torch.from_numpy(pixels.reshape(1, *pixels.shape).transpose(0, 3, 1, 2))


def _pixels(images: "torch.Tensor") -> Pixels:
    result: Pixels = images.numpy()[0].transpose(1, 2, 0)
    return result


def framed(pixels: Pixels, size: tuple[int, int], place: tuple[int, int], colour: tuple[int, ...] | None) -> Pixels:
    """Return (H, W, 3) uint8 of `size` with a smaller picture at `place` (top, left), in a frame of a colour.

    Without a colour the picture goes on mirrored, its edge not repeated, as often as it takes: NumPy's `reflect`.
    """
    if colour is not None:
        result = np.empty((*size, 3), np.uint8)
        result[:] = colour
        result[place[0] : place[0] + pixels.shape[0], place[1] : place[1] + pixels.shape[1]] = pixels
        return result
    rows, columns = (_reflected(*each) for each in zip(size, place, pixels.shape[:2], strict=True))
    return np.take(np.take(pixels, rows, 0), columns, 1)


def _reflected(n: int, first: int, n_real: int) -> NDArray[np.int64]:
    """Return which of `n_real` pixels stands in each of `n` places, the first of them in place `first`."""
    if n_real == 1:
        return np.zeros(n, np.int64)
    period = 2 * (n_real - 1)
    there = np.abs(np.arange(-first, n - first)) % period
    place: NDArray[np.int64] = np.minimum(there, period - there)
    return place
