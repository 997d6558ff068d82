"""Every write of a run goes through here: whole, on the disk before it counts, and plain about why it failed."""

import contextlib
import errno
import filecmp
import itertools
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from clfctl.errors import UsageError, WriteError
from clfctl.storage.home import expand_home

Piece = bytes | bytearray | memoryview
TEMPORARY, SECOND_NAME = ".tmp", ".old"
# What nothing has been written to for so long, and has its name of the time before it is whole, was left by a process
# that was killed.
ABANDONED_S = 24 * 3600.0
# Small pieces are joined up to this size: a checkpoint has a hundred tensors of a few hundred bytes.
BLOCK_BYTES = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if sys.platform != "win32" else (errno.ENOSPC,)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL)


def replace_file(
    path: Path, pieces: Iterable[Piece], previous: Path | None = None, *, temporary: Path | None = None
) -> None:
    """Write a file so that at every moment, a loss of power included, `path` is whole: the old one or the new one.

    A piece is used up before the next is asked for. The old file stays as `previous` if that is given. Until it is
    whole the new one is `temporary`, in the same folder. Raises OSError if it cannot be written; the old file is
    untouched then.
    """
    temporary = temporary or path.with_name(path.name + TEMPORARY)
    try:
        _write_new(temporary, pieces)
        if previous and path.exists():
            _keep(path, previous)
        os.replace(temporary, path)
        flush_folder(path.parent)
    except BaseException:  # a second Ctrl-C included
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a whole small file. Raises WriteError; the old file is untouched then."""
    with explained(path):
        replace_file(path, [text.encode()])


def append_line(path: Path, line: str) -> None:
    """Add a line at the end of a file. Raises WriteError; there may be half a line then."""
    with explained(path):
        _write(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), [f"{line}\n".encode()])


def move_file(source: Path, target: Path) -> None:
    """Move a file or a link to a name that is free, to another file system too; at every moment one of both is whole.

    Raises FileExistsError if the name is taken, another OSError if it cannot be moved; `source` is untouched then.
    After a Ctrl-C the file is at one of the two places.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)  # a rename would overwrite
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy_file(source, target)
    try:
        flush_folder(target.parent)
        os.unlink(source)
    except BaseException:
        if os.path.lexists(source):  # a Ctrl-C during the unlink is raised after it
            os.unlink(target)
        raise


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's content and times to a name that is free; whatever happens, there is the whole copy or none.

    Raises FileExistsError if the name is taken, another OSError if it cannot be copied.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own length: that of the target may be as long as names can be.
    temporary = target.with_name(f".{os.getpid()}{TEMPORARY}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    try:
        _copy_file(source.resolve(), temporary)
        try:
            os.link(temporary, target)  # a rename would overwrite
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if target.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
            os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def keep_beside(source: Path, target: Path) -> None:
    """Give a file that is only ever replaced as a whole a second name, or copy it where the file system has no links.

    Raises FileExistsError if the name is taken, another OSError if it cannot be copied.
    """
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        copy_file(source, target)


def has_same_content(one: Path, other: Path) -> bool:
    """Return whether both are files of the same bytes. Raises OSError if one of two that are there cannot be read."""
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def numbered(path: Path) -> Iterator[Path]:
    """Yield a path, and then the path with a number before its suffix."""
    yield path
    yield from (path.with_name(f"{path.stem}~{n}{path.suffix}") for n in itertools.count(1))


def temporary_for(path: Path) -> Path:
    """Return the name of a file while it is written, which no other process uses: not all file systems have locks."""
    return path.with_name(f"{path.name}.{host_and_pid()}{TEMPORARY}")


def remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left in a folder."""
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            if entry.name.endswith((TEMPORARY, SECOND_NAME)):
                os.unlink(entry)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a WriteError about `path`."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"cannot write {path}: {reason_of(error)}", hint_of(error)) from None


def reason_of(error: OSError) -> str:
    """Return the system's words for an error."""
    return error.strerror or str(error)


def hint_of(error: OSError) -> str:
    """Return what can be done about a write that failed."""
    if error.errno in _FULL:
        return "free some space"
    if error.errno in _READ_ONLY:
        return "make the folder writable for you"
    if error.errno == errno.ENOENT:
        return "the folder was moved or removed while it was in use; put it back"
    if error.errno == errno.ENAMETOOLONG:
        return "choose a shorter name: most file systems take 255 bytes, and need some for a suffix"
    return "check the disk: the system's log (dmesg) may say more"


def host_and_pid() -> str:
    """Return a part of a name that no other process uses, on whatever machine it runs."""
    return f"{socket.gethostname()}-{os.getpid()}"


def _copy_file(source: Path, target: Path) -> None:
    """Copy a file with its times, or a link, to a name that is free."""
    if source.is_symlink():
        os.symlink(os.readlink(source), target)
        return
    with source.open("rb") as file:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            _write(descriptor, iter(lambda: file.read(BLOCK_BYTES), b""))
            shutil.copystat(source, target)
        except BaseException:
            os.unlink(target)
            raise


def _write_new(path: Path, pieces: Iterable[Piece]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    if sys.platform == "win32":
        flags |= os.O_BINARY
    _write(os.open(path, flags, 0o666), pieces)


def _write(descriptor: int, pieces: Iterable[Piece]) -> None:
    """Write pieces, wait until they are on the disk, and close."""
    try:
        for block in _joined(pieces):
            left = memoryview(block).cast("B")
            is_large = left.nbytes >= BLOCK_BYTES
            while left:  # Linux writes 2 GiB at most in one call
                left = left[os.write(descriptor, left) :]
            if is_large:
                _start_flushing(descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _start_flushing(descriptor: int) -> None:
    """Let the disk work while the next block is made: 41 ms for a checkpoint of 57 MB that took 53 without."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # advice that a file system need not take
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # forget what is written: so write it


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield the same bytes in few blocks; large pieces are not copied."""
    block = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        if len(block) + view.nbytes > BLOCK_BYTES and block:
            yield block
            block = bytearray()
        if view.nbytes > BLOCK_BYTES:
            yield view
        else:
            block += view
    if block:
        yield block


def _keep(path: Path, previous: Path) -> None:
    """Make a file its own predecessor without a moment in which there is none: a second name, then a rename."""
    second = path.with_name(path.name + SECOND_NAME)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(second)
    try:
        os.link(path, second)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.replace(path, previous)  # a file system without hard links: for a moment only `previous`
    else:
        os.replace(second, previous)


def flush_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    if sys.platform == "win32":
        return  # folders cannot be opened there
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def in_bytes(n: int) -> str:
    """Return a number of bytes in words: `850.0 kB`, `1.2 GB`."""
    k = next((k for k in (3, 2) if n >= 1000**k), 1)
    return f"{n / 1000**k:.1f} {'kMG'[k - 1]}B"


def cache_folder() -> Path:
    """Return clfctl's folder among the user's caches, `~/.cache/clfctl` as a rule; it may not exist yet."""
    try:
        return Path(expand_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "clfctl"
    except UsageError:  # a container whose user has no home: nothing that is asked for fails for a cache
        return Path(tempfile.gettempdir()) / f"clfctl-{getattr(os, 'getuid', int)()}"
