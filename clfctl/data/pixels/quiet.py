"""Keeping the decoders from printing: what is wrong with a file is in the error that Pillow raises for it."""

import ctypes
import logging
from functools import cache

from PIL import _imaging


@cache
def silence_tiff() -> bool:
    """Let nothing be printed about TIFF files from now on; return whether libtiff could be reached.

    Its two handlers, one pair for the whole process, print dozens of lines for one damaged file. They are looked up in
    Pillow's own library and those that this one needs, so that no other copy of libtiff is meant. On Windows it is part
    of Pillow's library and cannot be reached. What Pillow logs still reaches the handlers that a program has set up.
    """
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    try:
        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            set_handler = getattr(library, name)
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)
    except (AttributeError, OSError, TypeError):
        return False
    return True
