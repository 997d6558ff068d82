"""What glibc's allocator does with memory that is freed: it keeps it for the next step."""

import os

# Of mallopt, in glibc's malloc.h. By default it gives the end of the heap back to the system, and has large blocks
# mapped anew, so that every training step pays for its pages again.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 1 << 30
OF_THE_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Have the process keep up to a gigabyte that was freed; return whether it does.

    It does nothing where the user has set these limits, or where the C library is not glibc.
    """
    if any(name in os.environ for name in OF_THE_USER):
        return False
    import ctypes  # a hundredth of a second, for commands that compute

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl and macOS have no mallopt, Windows has no such library
        return False
    return bool(mallopt(TRIM_THRESHOLD, KEPT_BYTES) and mallopt(MMAP_THRESHOLD, KEPT_BYTES))
