"""The whole checkpoints that a run keeps, beside its last: which epochs they are of, and where one can be gone on from.

A run may be branched from each of them.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from clfctl.errors import UsageError
from clfctl.runs.best import Criterion, best_epochs
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import Position, previous_of, read_last
from clfctl.runs.history import EpochResult
from clfctl.settings.keeping import Keep


def kept_epochs(keep: Keep, history: Sequence[EpochResult], criterion: Criterion) -> set[int]:
    """Return the epochs, from 1, whose checkpoints are kept of a history."""
    every = {each.epoch for each in history if keep.every and each.epoch % keep.every == 0}
    return every | {each.epoch for each in best_epochs(history, criterion, keep.best)}


def checkpoint_at(run: RunFolder, epoch: int | None) -> Path:
    """Return the checkpoint of the end of an epoch, or the last one if none is asked for.

    Raises UsageError, with what there is, if the run does not have it.
    """
    if epoch is None:
        return next((each for each in (run.last, previous_of(run.last)) if _position(each)), run.last)
    there = dict[Position, Path]()
    for path in (previous_of(run.last), run.last, *run.all_kept().values()):
        if position := _position(path):
            there[position] = path
    at_ends = {position.epoch: path for position, path in there.items() if not position.batch and position.epoch}
    if epoch in at_ends:
        return at_ends[epoch]
    ends = ", ".join(map(str, sorted(at_ends)))
    hint = f"there are those of epochs {ends}" if ends else "it has none of the end of an epoch"
    more = "`keep=every 1` keeps that of every epoch from now on, and without `at=` it is the last one"
    raise UsageError(f"{run.path} has no checkpoint of the end of epoch {epoch}", f"{hint}; {more}", field="at")


def put_later_kept_aside(run: RunFolder, n_epochs: int, tell: Callable[[str], None]) -> None:
    """Put kept checkpoints aside that are of later epochs than the `n_epochs` that a run goes on from with changes."""
    for epoch, path in run.all_kept().items():
        if epoch > n_epochs:
            aside = path.with_name(f"{path.stem}.before{path.suffix}")
            with contextlib.suppress(OSError):
                path.replace(aside)
                tell(f"Note: epoch {epoch} is now trained again with changes; {path.name} is kept as {aside.name}.")


def _position(path: Path) -> Position | None:
    try:
        return read_last(path).going_on().position
    except (OSError, ValueError):
        return None
