"""What an image that cannot be read raises, and why it cannot, in words. No torch here."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError


class BadImageError(OSError):
    """An image that cannot be decoded; the message says why, in words that go on after its name."""


# What opening and decoding raise for a bad image. The last five are Pillow's, where another library opens the files.
BAD_IMAGE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, IndexError)

# More bad images than a share of all, and at least so many, are not an accident.
MAX_BAD_SHARE, MIN_BAD = 0.05, 3


def is_too_many(n_bad: int, n_images: int) -> bool:
    """Return whether so many bad images must stop a training: more than 5 % of all, and at least 3."""
    return n_bad >= MIN_BAD and n_bad > MAX_BAD_SHARE * n_images


def reason_of(error: Exception, name: str = "") -> str:
    """Return why an image called `name` cannot be read: words on one line, never empty, without the name."""
    if isinstance(error, UnidentifiedImageError):
        return "is not in an image format that can be read"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    if isinstance(error, OSError) and error.strerror:
        is_dangling = isinstance(error, FileNotFoundError) and Path(name).is_symlink()
        return f"{error.strerror} (a link to {Path(name).readlink()})" if is_dangling else error.strerror
    text = str(error).replace(name, "") if name else str(error)
    words = " ".join(text.split()).strip(" '\"")
    if isinstance(error, BadImageError) or " " in words:
        return words
    # A decoder that gives no reason, or the like of `error`, `-2`, or the name of a tag.
    return f"is damaged: it cannot be decoded ({type(error).__name__}{': ' * bool(words)}{words})"
