"""The model that answers now: opened once, and anew when its file has changed, without a pause between the two."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from clfctl.errors import ClfctlError, DamagedError, first_line
from clfctl.inference.open import check_model, open_predictor
from clfctl.inference.predictor import Predictor
from clfctl.inference.write_onnx import Exported, export_model, is_exported, is_made_of
from clfctl.inference.write_whole import export_ensemble
from clfctl.runs.ensemble import EnsembleFolder, is_ensemble, read_ensemble
from clfctl.runs.folder import CHECKPOINT_SUFFIX, RunFolder

Tell = Callable[[str], None]
# What tells a file from another that has taken its place: name, inode, bytes, and nanoseconds of its last change.
Look = tuple[tuple[str, int, int, int], ...]
_CHUNK = 1 << 20
# How often a file that changes while it is read is read again.
_TRIES = 5
# What a sum of probabilities may be from 1: of many classes and few bits.
_ROUNDING = 0.02


def what_answers(path: Path, tell: Tell) -> Path:
    """Return the file or folder that is opened for what the user names: its model.onnx, exported where needed.

    That is of a run or an ensemble. What keeps it from being exported is told, and the checkpoints answer. Raises
    UsageError if it is no model.
    """
    check_model(path)
    run, whole = RunFolder(path), EnsembleFolder(path)
    if is_ensemble(path):
        ensemble = read_ensemble(path)
        is_new = is_made_of(whole.onnx, ensemble.made_of)
        return _exported(path, whole.onnx, None if is_new else lambda: export_ensemble(ensemble), tell)
    if not (path.is_dir() and run.config.is_file()):
        return path
    is_new = is_exported(run) or not run.chosen.is_file()
    return _exported(path, run.onnx, None if is_new else lambda: export_model(path), tell)


def _exported(path: Path, onnx: Path, export: Callable[[], Exported] | None, tell: Tell) -> Path:
    """Return the model.onnx of a folder, after it was exported if it has to be; the folder if that cannot be."""
    try:
        if export is not None:
            tell(f"Exported {export()}.")
    except ClfctlError as error:
        tell(f"{onnx} could not be made: {error}; torch answers instead.")
        return path
    return onnx if onnx.is_file() else path


@dataclass(frozen=True)
class Loaded:
    """A model, what tells its file from every other (hexadecimal), and when it was loaded (seconds since 1970)."""

    predictor: Predictor
    mark: str
    loaded_s: float


class Current:
    """The model that answers now. `problem` says why a newer file does not."""

    def __init__(self, path: Path, n_threads: int, tell: Tell) -> None:
        """Open it. Raises ClfctlError."""
        self.path, self.n_threads, self.tell = path, n_threads, tell
        self.problem = ""
        self._opened: Look = ()
        self._seen = look_at(path)
        self.loaded = self._load()

    def refresh(self) -> bool | None:
        """Open it anew if its file is another than before; return whether that worked, None if there was no need.

        A file that still changes is left until it is the same twice. What cannot be opened leaves what was there.
        """
        before, self._seen = self._seen, look_at(self.path)
        if self._seen in (self._opened, ()) or self._seen != before:
            return None
        try:
            loaded = self._load()
        except (ClfctlError, OSError) as error:
            self.problem = str(error)
            self.tell(f"{error}. What was loaded before goes on to answer.")
            return False
        self.problem, self.loaded = "", loaded
        self.tell(f"Loaded {self.path} again: it has changed.")
        return True

    def _load(self) -> Loaded:
        """Open it: again if its files are others than before, so that the mark is that of what was opened."""
        for _ in range(_TRIES):
            self._opened = look_at(self.path)
            predictor = open_predictor(self.path, self.n_threads, self.tell)
            mark = mark_of(self.path)
            if look_at(self.path) == self._opened:
                try_out(self.path, predictor)
                return Loaded(predictor, mark, time.time())
        raise DamagedError(f"{self.path} changes while it is read", "rename a new model to this name when it is whole")


def try_out(path: Path, predictor: Predictor) -> None:
    """Ask a model about two black images. Raises DamagedError if its answers are not those of the classes it names."""
    n_classes = len(predictor.info.classes)
    black = tuple(np.zeros((*view.size, 3), np.uint8) for view in predictor.info.views)
    again = "clfctl export makes a new one"
    try:
        found = predictor.probabilities([black, black])
    except Exception as error:  # whatever computes it
        raise DamagedError(f"{path} cannot be asked: {first_line(error)}", again) from None
    if found.shape != (2, n_classes):
        what = f"of two images it says {' x '.join(map(str, found.shape))} numbers, and it names {n_classes} classes"
        raise DamagedError(f"{path} is damaged: {what}", again)
    if not (found.min() >= 0 and np.allclose(found.sum(axis=1), 1, rtol=0, atol=_ROUNDING)):
        raise DamagedError(f"{path} is damaged: what it says of a black image are no probabilities", again)


def look_at(path: Path) -> Look:
    """Return what would be different if a model were another; nothing if it is not there."""
    return tuple(_looks(path))


def mark_of(path: Path) -> str:
    """Return the hash of a model's files, of 16 hexadecimal digits."""
    whole = xxhash.xxh3_64()
    for file in files_of(path):
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK):
                whole.update(chunk)
    return whole.hexdigest()


def files_of(path: Path) -> list[Path]:
    """Return the files that a model is made of: itself, the checkpoint of a run, or the members of an ensemble."""
    if not path.is_dir():
        return [path]
    run, whole = RunFolder(path), EnsembleFolder(path)
    found = [run.chosen, run.onnx]
    if is_ensemble(path):
        found = [whole.file, *sorted(whole.members.glob(f"*{CHECKPOINT_SUFFIX}")), whole.onnx]
    return [each for each in found if each.is_file()]


def _looks(path: Path) -> "list[tuple[str, int, int, int]]":
    found = []
    try:
        for file in files_of(path):
            status = file.stat()
            found.append((file.name, status.st_ino, status.st_size, status.st_mtime_ns))
    except OSError:
        return []
    return found
