"""What an image that cannot be read raises, and why it cannot, in words. No torch here."""

from PIL import Image

# What Pillow raises for a file that is no image, is cut off, or is too large to be meant.
BAD_IMAGE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, IndexError)


def reason_of(name: str, error: Exception) -> str:
    """Return why an image cannot be read, on one line and without the image's name."""
    return " ".join(str(error).replace(name, "").split()).strip(" '\"") or type(error).__name__
