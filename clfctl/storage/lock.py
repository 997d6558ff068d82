"""One process a run: a lock of the system's, which dies with its process however that ends. No torch here."""

import contextlib
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from clfctl.errors import RunLockedError, WriteError
from clfctl.storage.files import hint_of, reason_of

# `clfctl runs` holds a lock for some microseconds to see whether it is free: whoever trains tries again.
_TRIES, _PAUSE_S = 20, 0.02
_LONG_PAUSE_S = 0.2
# Lustre and some network file systems are mounted without locks; then two processes cannot be told apart.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # a locked byte cannot be read: lock one that no lock file has

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        # flock, not lockf: that is lost when any descriptor of the file is closed. On NFS Linux makes the one of the
        # other, between machines too, unless it is mounted with `nolock` or `local_lock=flock`.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            if error.errno not in _NO_LOCKS:
                raise
        return True


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock: `since_s` in seconds since 1970; 0 and "" where the file does not say."""

    pid: int = 0
    host: str = ""
    since_s: float = 0.0

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine."""
        return self.host == socket.gethostname()

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since_s))
        return f"process {self.pid}{'' if self.is_here else f' on {self.host}'} since {since}"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, which stays behind.

    Raises RunLockedError if another process holds it, ClfctlError if the file cannot be opened for writing.
    """
    with _opened(path) as descriptor:
        if not _lock(descriptor):
            holder = _read(path)
            stop = f"let it save and stop (kill {holder.pid}), " if holder.pid and holder.is_here else ""
            raise RunLockedError(
                f"{path.parent} is being trained by {holder}", f"wait for its end, {stop}or train another run"
            )
        _write(descriptor)
        yield


@contextlib.contextmanager
def locked_in_turn(path: Path, on_wait: Callable[[Holder], None]) -> Iterator[None]:
    """Hold the lock file `path`, which stays behind, when nobody else holds it any more.

    `on_wait` is told once who does, if it takes long. Raises WriteError if the file cannot be opened for writing.
    """
    with _opened(path) as descriptor:
        if not _lock(descriptor):
            on_wait(_read(path))
            while not _try_lock(descriptor):
                time.sleep(_LONG_PAUSE_S)
        _write(descriptor)
        yield


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # not inherited by what this process starts
    except OSError as error:
        raise WriteError(f"cannot lock {path.parent}: {reason_of(error)}", hint_of(error)) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def holder_of(path: Path) -> Holder | None:
    """Return who holds a lock, None if nobody does. Raises OSError if the file cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    except PermissionError:
        # Somebody else's run: whether it is locked cannot be found out everywhere without the right to write.
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno != errno.EROFS:  # nobody trains on a disk that cannot be written
            raise
        return None
    try:
        return None if _try_lock(descriptor) else _read(path)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    for _ in range(_TRIES):
        if _try_lock(descriptor):
            return True
        time.sleep(_PAUSE_S)
    return False


def _write(descriptor: int) -> None:
    """Say who holds the lock; only people read it, so a full disk is not a reason to stop."""
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since_s": time.time()}
    with contextlib.suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(holder).encode())


def _read(path: Path) -> Holder:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return Holder(int(holder["pid"]), str(holder["host"]), float(holder["since_s"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder()
