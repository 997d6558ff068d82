"""Folders that are whole or not there: filled under another name, and then renamed."""

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from clfctl.storage.files import ABANDONED_S, SECOND_NAME, TEMPORARY, explained, flush_folder, host_and_pid

# How the name of a folder begins while it is made; nobody else's does.
_MADE = ".clfctl-"


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder to fill: when the block ends it takes the place of `path`, which is whole or not there before.

    If the block fails the new folder is removed and the old one stays. A process that is killed leaves the old one; it
    has another name for the moment between two renames, and gets its own back here. Raises WriteError.
    """
    new, old = path.with_name(path.name + TEMPORARY), path.with_name(path.name + SECOND_NAME)
    with explained(path):
        path.parent.mkdir(exist_ok=True)
        if old.is_dir() and not path.exists():
            os.replace(old, path)
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        new.mkdir()
    try:
        yield new
        with explained(path):
            if path.exists():
                os.replace(path, old)
            os.replace(new, path)
            flush_folder(path.parent)
    finally:  # also after a signal between the two renames
        if old.is_dir() and not path.exists():
            os.replace(old, path)
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def making_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder to fill: when the block ends it is at `path`, with parents that are made too.

    If the block fails it is removed. Raises FileExistsError if another process has made `path` meanwhile, WriteError if
    it cannot be made.
    """
    # Short, whatever the name, and not another process's; what a killed one left is removed after a day.
    new = path.with_name(f"{_MADE}{host_and_pid()}{TEMPORARY}")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in path.parent.glob(f"{_MADE}*{TEMPORARY}"):
            with contextlib.suppress(FileNotFoundError):  # it is whole meanwhile
                if leftover == new or time.time() - leftover.stat().st_mtime > ABANDONED_S:
                    shutil.rmtree(leftover, ignore_errors=True)
        new.mkdir()
    try:
        yield new
        with explained(path):
            is_named = _name(new, path)
            flush_folder(path.parent)
        if not is_named:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _name(new: Path, path: Path) -> bool:
    """Give a folder its name, and return whether that was free."""
    if path.exists():  # an empty folder would be replaced
        return False
    try:
        os.replace(new, path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    return True
