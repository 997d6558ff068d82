"""HEIC images, as telephones take them: Pillow reads them with the package pillow-heif, the extra `heic`."""

from functools import cache

# Files of HEIC, of AVIF and of video have this at byte 4.
MARK, MARK_AT = b"ftyp", 4


def is_maybe_heic(content: bytes) -> bool:
    """Return whether a file that begins with these bytes may be a HEIC image."""
    return content[MARK_AT : MARK_AT + len(MARK)] == MARK


@cache
def let_pillow_read_heic() -> bool:
    """Let Pillow open HEIC images from now on; return whether it can."""
    try:
        from pillow_heif import register_heif_opener  # an extra
    except ImportError:
        return False
    register_heif_opener()
    return True
