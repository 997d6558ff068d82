"""What strangers send as an image, opened with care: nothing is decoded before its header says that it is no bomb."""

from functools import cache

from PIL import Image

from clfctl.data.pixels.heic import let_pillow_read_heic
from clfctl.data.pixels.image_file import open_image
from clfctl.data.pixels.unreadable import BadImageError, reason_of
from clfctl.inference.predictor import Predictor, Seen

# Pillow knows dozens, of which one starts Ghostscript (EPS) and many were last looked at long ago.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF")
MILLION = 1_000_000
# A JPEG may go over its picture a thousand times in a few kilobytes, for minutes; encoders do it about ten times.
MOST_SCANS, SCAN = 100, b"\xff\xda"
# Grey of more than 8 bits is scaled in numbers of 64, so that a pixel costs as much memory as several of RGB.
DEEP, DEEP_COSTS = ("I", "F"), 4


@cache
def formats() -> tuple[str, ...]:
    """Return the formats that are opened, of those that Pillow can read here."""
    let_pillow_read_heic()
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def read_upload(content: bytes, predictor: Predictor, max_pixels: float) -> Seen | str:
    """Return what a model is to see of an image, or why it cannot be read, without a path."""
    try:
        if content.count(SCAN) > MOST_SCANS and content.startswith(b"\xff\xd8"):
            raise BadImageError(f"is a JPEG of more than {MOST_SCANS} scans")
        with open_image(content, formats()) as image:
            check_size(image, max_pixels)
            return predictor.look(image)
    except Exception as error:  # whatever a decoder raises for one image, the others get their answers
        return reason_of(error)


def check_size(image: Image.Image, max_pixels: float) -> None:
    """Raise BadImageError for an image of more pixels than that; only its header was read."""
    cost = DEEP_COSTS if image.mode.startswith(DEEP) else 1
    n_pixels = image.width * image.height
    if n_pixels * cost > max_pixels:
        kind = " of more than 8 bits" if cost > 1 else ""
        most = f"{max_pixels / cost / MILLION:g} million"
        raise BadImageError(f"has {image.width} x {image.height} pixels{kind}, and {most} is the most")
