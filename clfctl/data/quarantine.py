"""Moving files out of the way, and back: all or none, written down before they move, and nothing is overwritten."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clfctl.data.findings import HARMLESS, Finding
from clfctl.errors import DataError
from clfctl.storage.files import append_line, explained, hint_of, move_file, numbered, reason_of

LIST_NAME = "moved.jsonl"
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Move:
    """A file or link that is to be moved: `finding` says why."""

    finding: Finding
    source: Path
    target: Path


def plan_moves(root: Path, findings: Sequence[Finding], folder: Path) -> list[Move]:
    """Return what is to be moved into a folder, each to the same place in it; a name that is taken gets a number.

    A file that has two names by a link to its folder is moved once, and not at all if the other name is the one kept.
    """
    base = Path(os.path.abspath(root))  # resolve would follow a link to elsewhere
    entries: set[Path] = set()
    taken: set[Path] = set()
    moves = []
    for finding in findings:
        source = base / finding.file
        entry = _entry(source)
        kept = _entry(base / finding.same_as) if finding.same_as else None
        if finding.kind == HARMLESS or entry in entries or entry == kept:
            continue
        target = next(each for each in numbered(folder / finding.file) if each not in taken and not _exists(each))
        entries.add(entry)
        taken.add(target)
        moves.append(Move(finding, source, target))
    return moves


def carry_out(root: Path, moves: Sequence[Move], folder: Path) -> None:
    """Move all, or none: where one cannot be moved the others are moved back, and the list is as it was.

    If the process is killed meanwhile, `put_back` brings back what was moved. Raises DataError if a file cannot be
    moved, WriteError if the list cannot be written.
    """
    if not moves:
        return
    path = folder / LIST_NAME
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    before = _size(path)
    base = os.path.abspath(root)
    lines = [
        json.dumps({
            "from": str(each.source), "to": str(each.target.relative_to(folder)), "kind": each.finding.kind,
            "reason": each.finding.reason, "root": base, "file": each.finding.file,
        })
        for each in moves
    ]  # fmt: skip
    torn = "\n" if before and not _ends_with_newline(path) else ""
    append_line(path, torn + "\n".join(lines))
    tried = moves[0]
    try:
        for tried in moves:
            move_file(tried.source, tried.target)
    except BaseException as error:  # a Ctrl-C included; a second one leaves the list, and so the way back
        # The disk knows what was moved: a Ctrl-C may come after a move, and before anything is noted of it.
        stuck = _move_back([each for each in moves if _exists(each.target) and not _exists(each.source)])
        if not stuck:
            _shorten(path, before)
        _remove_empty(folder, moves)
        if not isinstance(error, OSError):
            raise
        hint = hint_of(error)
        if stuck:
            hint = f"{len(stuck)} files could not be moved back, such as {stuck[0].target}: `undo=True` tries again"
        what = "" if stuck else "; nothing was moved"
        raise DataError(f"{tried.source} cannot be moved to {tried.target}: {reason_of(error)}{what}", hint) from None


def put_back(root: Path, folder: Path) -> Iterator[tuple[Path, str]]:
    """Move what is listed back to where it was, the latest first; yield (place, why it could not be moved or "").

    Where the data has moved since, it is put back into `root`; the old place is not made again. Raises DataError if
    there is no list.
    """
    path = folder / LIST_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}, the list of what was moved, cannot be read: {error}") from None
    for line in reversed([each for each in map(_record, lines) if each]):
        source = folder / line["to"]
        if not _exists(source):
            continue  # back already, or never moved
        target = _place(line, root)
        try:
            if not target.parent.is_dir() and not _is_old_place(line):
                yield target, "its folder does not exist"
                continue
            move_file(source, target)
        except FileExistsError:
            # A process that was killed while it moved the file may have left it in both places.
            if not _is_beginning(source, target):
                yield target, "there is a file of this name again"
                continue
            source.unlink()
        except OSError as error:
            yield target, reason_of(error)
            continue
        yield target, ""


def _place(line: dict[str, Any], root: Path) -> Path:
    """Return where a file belongs: where it was, or at the same place in `root` if the data is no longer there."""
    if _is_old_place(line):
        return Path(line["from"])
    return Path(os.path.abspath(root), line.get("file") or line["to"])


def _is_old_place(line: dict[str, Any]) -> bool:
    """Return whether the data is where it was; lists of earlier versions do not have the data's folder."""
    return Path(line["root"]).is_dir() if "root" in line else Path(line["from"]).parent.is_dir()


def _record(line: str) -> dict[str, Any] | None:
    """Return what a line says; None if it is half a line, as a full disk leaves it: then nothing was moved for it."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and {"from", "to"} <= record.keys() else None


def _move_back(done: Sequence[Move]) -> list[Move]:
    """Move back what was moved; return what could not be."""
    stuck = []
    for each in reversed(done):
        try:
            move_file(each.target, each.source)
        except OSError:
            stuck.append(each)
    return stuck


def _remove_empty(folder: Path, moves: Sequence[Move]) -> None:
    """Remove the folders that moves which were undone have left empty."""
    inside = {parent for each in moves for parent in each.target.parents if folder in parent.parents}
    for parent in sorted(inside, key=lambda each: len(each.parts), reverse=True):
        with contextlib.suppress(OSError):
            parent.rmdir()


def _shorten(path: Path, size: int | None) -> None:
    with explained(path):
        if size is None:
            path.unlink()
        else:
            os.truncate(path, size)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _entry(path: Path) -> Path:
    """Return the place of a name on the disk: links above it are followed, it itself is not."""
    return Path(os.path.realpath(path.parent), path.name)


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _is_beginning(part: Path, whole: Path) -> bool:
    """Return whether two names are the same link, or the first file is how the second begins."""
    if part.is_symlink() or whole.is_symlink():
        return part.is_symlink() and whole.is_symlink() and part.readlink() == whole.readlink()
    with part.open("rb") as one, whole.open("rb") as other:
        while block := one.read(BLOCK_BYTES):
            if other.read(len(block)) != block:
                return False
    return True
