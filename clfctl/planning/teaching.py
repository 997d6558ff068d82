"""Which checkpoint a training learns from beside its labels, found and checked before torch is imported."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clfctl.errors import CheckpointError, UsageError
from clfctl.runs.folder import CHECKPOINT_SUFFIX, open_run
from clfctl.runs.header import checksum_of, read_header
from clfctl.settings.groups import TrainSettings
from clfctl.storage.files import reason_of

N_NAMED = 3
WITHOUT = "`distill_weight=0` goes on without it"


@dataclass(frozen=True)
class TeacherFile:
    """A checkpoint `path`, the place of each class of a training among its own, and what tells it from every other."""

    path: Path
    places: tuple[int, ...]
    checksum: str


def find_teacher(settings: TrainSettings, classes: Sequence[str]) -> TeacherFile | None:
    """Return the checkpoint that `distill` stands for, None if nothing is learned from one.

    Raises UsageError if it is none, or does not know all of the classes, CheckpointError if it cannot be read.
    """
    if settings.distill is None or not settings.distill_weight:
        return None
    path = _file(settings.distill)
    try:
        known, checksum = read_header(path).classes, checksum_of(path)
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise CheckpointError(f"{path} cannot be read: {reason}", WITHOUT, field="distill") from None
    missing = [name for name in classes if name not in known]
    if missing:
        names = ", ".join(missing[:N_NAMED]) + (f" and {len(missing) - N_NAMED} more" if len(missing) > N_NAMED else "")
        hint = "classes are joined by name, and a teacher must know all of them; it may know others"
        raise UsageError(f"{settings.distill} does not know the classes {names}", hint, field="distill")
    place = {name: number for number, name in enumerate(known)}
    return TeacherFile(path, tuple(place[name] for name in classes), checksum)


def _file(path: Path) -> Path:
    if path.is_file():
        if path.suffix != CHECKPOINT_SUFFIX:
            raise UsageError(
                f"{path} is not a checkpoint of clfctl", "give a run folder or its checkpoint", field="distill"
            )
        return path
    try:
        return open_run(path).chosen
    except UsageError as error:
        raise UsageError(error.message, f"{error.hint}; {WITHOUT}", field="distill") from None
