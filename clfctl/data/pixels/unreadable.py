"""What an image that cannot be read raises, and why it cannot, in words. No torch here."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError


class BadImageError(OSError):
    """An image that cannot be decoded; the message says why, in words that go on after its name."""


# What opening and decoding raise for a bad image. The last five are Pillow's, where another library opens the files.
BAD_IMAGE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, IndexError)
# Those of them whose message is a reason. Others come from inside of a decoder: `error`, `-2`, a name, a number.
_IN_WORDS = (OSError, EOFError, Image.DecompressionBombError)
_NO_WORDS = {f"decoder error {code}" for code in range(-10, 0)}

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
    if isinstance(error, BadImageError) or (isinstance(error, _IN_WORDS) and " " in words and words not in _NO_WORDS):
        return words
    return f"is damaged and cannot be decoded ({words or type(error).__name__})"
