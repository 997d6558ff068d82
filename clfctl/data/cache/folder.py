"""The folder of the disk caches: what is free there, what was left behind, what is out of date; and free memory."""

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from clfctl.data.cache.file import SUFFIX
from clfctl.errors import WriteError
from clfctl.storage.files import ABANDONED_S, TEMPORARY, cache_folder, hint_of, reason_of
from clfctl.storage.lock import holder_of

LOCK = ".lock"
# Limits of a container: of cgroups 2 and 1, with what is used of it. Used as a cache of files, memory is free.
_LIMITS = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
_CGROUPS = Path("/sys/fs/cgroup")


def images_folder(chosen: Path | None) -> Path:
    """Return the folder for caches of images, made if need be. Raises WriteError if that cannot be done."""
    folder = chosen if chosen else cache_folder() / "images"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder} cannot be made: {reason_of(error)}", hint_of(error), field="cache_dir") from None
    return folder


def lock_for(folder: Path, stem: str) -> Path:
    """Return the lock of all caches whose names begin with `stem`."""
    return folder / f"{stem}{LOCK}"


def sweep(folder: Path, own_lock: Path, suffix: str = SUFFIX, lock_of: Callable[[Path], Path] | None = None) -> int:
    """Remove what processes that were killed left of caches; return the bytes. `own_lock` is held by this process.

    `lock_of` says which lock a file was written under, that of images unless another is given.
    """
    has_locks, lock_of = holder_of(own_lock) is not None, lock_of or _lock_of
    return sum(
        _remove(path)
        for path in folder.glob(f"*{suffix}.*{TEMPORARY}")
        if _is_dead(path, lock_of(path), own_lock, has_locks=has_locks)
    )


def remove_others(folder: Path, stem: str, name: str) -> int:
    """Remove caches of the same data from before its files changed; return the bytes. One in use lives to its end."""
    return sum(_remove(path) for path in folder.glob(f"{stem}-*{SUFFIX}") if path.name != name)


def free_disk(folder: Path) -> int:
    """Return the bytes that this user may still write there."""
    return shutil.disk_usage(folder).free


def free_memory() -> int | None:
    """Return the bytes that can be had without swapping, in a container too; None if the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None
    return min([free, *(limit for folder in _own_cgroups() for limit in _room(folder))])


def _own_cgroups() -> list[Path]:
    """Return the folders that may say how much memory this process has: of its group, and of the container's root."""
    folders = [_CGROUPS, _CGROUPS / "memory"]
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                folders.append(_CGROUPS / controllers / path.lstrip("/"))
    return folders


def _room(folder: Path) -> list[int]:
    for limit, used in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # ValueError: "max"
            free = int((folder / limit).read_text()) - int((folder / used).read_text())
            return [max(0, free + _file_pages(folder))]
    return []


def _file_pages(folder: Path) -> int:
    """Return the bytes of files that the group keeps in memory and would give up first."""
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            if line.startswith(("inactive_file ", "total_inactive_file ")):
                return int(line.split()[1])
    return 0


def _lock_of(path: Path) -> Path:
    return lock_for(path.parent, path.name.partition(SUFFIX)[0].rpartition("-")[0])


def _is_dead(path: Path, lock: Path, own_lock: Path, *, has_locks: bool) -> bool:
    if has_locks:
        with contextlib.suppress(OSError):
            return lock == own_lock or holder_of(lock) is None
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > ABANDONED_S
    return False


def _remove(path: Path) -> int:
    with contextlib.suppress(OSError):
        size = path.stat().st_size
        path.unlink()
        return size
    return 0
