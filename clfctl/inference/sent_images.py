"""What strangers send as an image, opened with care: nothing is decoded before its header says that it is no bomb."""

from functools import cache

from PIL import Image

from clfctl.data.pixels.heic import let_pillow_read_heic
from clfctl.data.pixels.image_file import open_image
from clfctl.data.pixels.unreadable import BadImageError

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


def open_guarded(content: bytes, max_pixels: float) -> Image.Image:
    """Open an image from its bytes; no pixel is decoded yet. Raises OSError: BadImageError, with the reason."""
    if content.count(SCAN) > MOST_SCANS and content.startswith(b"\xff\xd8"):
        raise BadImageError(f"is a JPEG of more than {MOST_SCANS} scans")
    image = open_image(content, formats())
    _check_size(image, max_pixels)
    # Those that Pillow has in Python, for compressed BMP and for numbers in PPM, go from pixel to pixel and let nothing
    # else run: seconds for a few kilobytes.
    if any(tile[0] in Image.DECODERS for tile in getattr(image, "tile", ())):
        raise BadImageError(f"is a {image.format} of a kind that takes too long to decode")
    return image


def _check_size(image: Image.Image, max_pixels: float) -> None:
    cost = DEEP_COSTS if image.mode.startswith(DEEP) else 1
    if image.width * image.height * cost > max_pixels:
        kind = " of more than 8 bits" if cost > 1 else ""
        most = f"{max_pixels / cost / MILLION:g} million"
        raise BadImageError(f"has {image.width} x {image.height} pixels{kind}, and {most} is the most")
