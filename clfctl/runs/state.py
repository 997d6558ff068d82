"""What a run is doing: running, finished, interrupted or failed, by its lock, its checkpoint and its last words."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from clfctl.errors import CheckpointError, ClfctlError, Interrupted, StoppedAtOnce
from clfctl.runs.folder import RunFolder, find_runs
from clfctl.runs.history import EpochResult, read_history
from clfctl.runs.saved import Saved, previous_of, read_saved
from clfctl.storage.files import reason_of, remove_leftovers, write_text
from clfctl.storage.json_lines import dump_json, read_json_lines
from clfctl.storage.lock import Holder, holder_of, locked

State = Literal["running", "finished", "interrupted", "failed", "broken"]
KILLED = "it ended without a word: killed, or the machine stopped"


@dataclass(frozen=True)
class RunState:
    """A run as `clfctl runs` shows it.

    `why` says why a run is not finished. `epoch` epochs are finished of `epochs`, and `batch` of `n_batches` batches of
    the next; `best` is the monitored metric's best value, of epoch `best_epoch`. `lr` is that of the latest step.
    `started_s` and `changed_s` are in seconds since 1970. What is not known is None; `broken` runs have nothing else.
    """

    path: Path
    state: State
    why: str = ""
    epoch: int | None = None
    batch: int | None = None
    n_batches: int | None = None
    epochs: int | None = None
    monitor: str | None = None
    best: float | None = None
    best_epoch: int | None = None
    lr: float | None = None
    pid: int | None = None
    started_s: float | None = None
    changed_s: float | None = None

    @property
    def can_resume(self) -> bool:
        """Whether `clfctl resume` has something to do."""
        return self.state in ("interrupted", "failed")

    def as_record(self) -> dict[str, Any]:
        """Return the values by name, as JSON can hold them."""
        return {"name": self.path.name, **asdict(self), "path": str(self.path)}


@contextlib.contextmanager
def held(run: RunFolder) -> Iterator[None]:
    """Hold a run's lock, and leave behind why it ended if it does not end well. Raises RunLockedError."""
    with locked(run.lock):
        remove_leftovers(run.last.parent)
        remove_leftovers(run.path)
        with contextlib.suppress(OSError):
            run.end.unlink()
        try:
            yield
        except (Interrupted, StoppedAtOnce) as error:
            _leave_word(run, "interrupted", str(error))
            raise
        except KeyboardInterrupt:
            _leave_word(run, "interrupted", "Stopped at once by a second Ctrl-C.")
            raise
        except Exception as error:
            what = str(error) if isinstance(error, ClfctlError) else f"{type(error).__name__}: {error}"
            _leave_word(run, "failed", what)
            raise


def states_in(folder: Path) -> list[RunState]:
    """Return the state of every run in a folder, newest first, and after them the folders that are broken runs."""
    runs = [state_of(RunFolder(path)) for path in find_runs(folder)]
    try:
        others = sorted(entry for entry in folder.iterdir() if RunFolder(entry).last.parent.is_dir())
    except OSError:
        others = []
    listed = {state.path for state in runs}
    return [*runs, *(_without_config(RunFolder(path)) for path in others if path not in listed)]


def state_of(run: RunFolder) -> RunState:
    """Return the state of a run; never raises: what cannot be read makes it `broken`, with the reason."""
    try:
        holder = holder_of(run.lock)
        saved, damage = _read_last(run)
        return _running(run, saved, holder) if holder else _ended(run, saved, damage)
    except (OSError, ValueError, KeyError, TypeError, CheckpointError) as error:
        return RunState(run.path, "broken", _reason(error))


def _read_last(run: RunFolder) -> tuple[Saved, str]:
    """Return what the last checkpoint says, or its predecessor and a sentence."""
    try:
        return read_saved(run.last), ""
    except (OSError, ValueError) as error:
        try:
            saved = read_saved(previous_of(run.last))
        except (OSError, ValueError):
            raise ValueError(f"{run.last.name}: {_reason(error)}") from None
        return saved, f"{run.last.name} cannot be read ({_reason(error)}), the one before it can"


def _running(run: RunFolder, saved: Saved, holder: Holder) -> RunState:
    # Epochs since the last save are in the history only; it is written by the process that runs.
    history = read_history(max(read_json_lines(run.history), saved.history, key=len))
    is_newer = len(history) > len(saved.history)
    position = (len(history), 0) if is_newer else (saved.position.epoch, saved.position.batch)
    lr = history[-1].lr if is_newer else saved.lr
    return _state(run, "running", "", saved, history, position, lr, holder.pid or None)


def _ended(run: RunFolder, saved: Saved, damage: str) -> RunState:
    position = (saved.position.epoch, saved.position.batch)
    history = read_history(saved.history)
    if saved.is_finished:
        return _state(run, "finished", "", saved, history, position, saved.lr)
    state, why = _last_word(run)
    return _state(run, state, "; ".join(filter(None, (why, damage))), saved, history, position, saved.lr)


def _state(
    run: RunFolder,
    state: State,
    why: str,
    saved: Saved,
    history: list[EpochResult],
    position: tuple[int, int],
    lr: float,
    pid: int | None = None,
) -> RunState:
    monitor = str(saved.settings["monitor"])
    best = next((result for result in reversed(history) if result.is_best), None)
    changed = [path.stat().st_mtime for path in (run.end, run.history, run.last, run.config) if path.is_file()]
    return RunState(
        run.path,
        state,
        why,
        *position,
        saved.position.n_batches,
        saved.last_epoch,
        monitor,
        None if best is None else best.metric(monitor),
        None if best is None else best.epoch,
        lr if any(position) else None,
        pid,
        run.config.stat().st_mtime,
        max(changed),
    )


def _without_config(run: RunFolder) -> RunState:
    with contextlib.suppress(OSError):
        if holder := holder_of(run.lock):
            return RunState(run.path, "running", "it is being made", pid=holder.pid or None)
    return RunState(run.path, "broken", f"it has no {run.config.name}: it ended while it was being made; remove it")


def _last_word(run: RunFolder) -> tuple[State, str]:
    try:
        end = json.loads(run.end.read_text(encoding="utf-8"))
        return ("failed" if end["state"] == "failed" else "interrupted"), str(end["why"])
    except (OSError, ValueError, KeyError, TypeError):
        return "interrupted", KILLED


def _leave_word(run: RunFolder, state: State, why: str) -> None:
    # A disk that is full, or gone, is often why; the lock and the checkpoint say enough without.
    with contextlib.suppress(ClfctlError):
        write_text(run.end, dump_json({"state": state, "why": why, "time_s": time.time()}) + "\n")


def _reason(error: Exception) -> str:
    return reason_of(error) if isinstance(error, OSError) else str(error)
