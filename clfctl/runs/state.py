"""What a run is doing: running, finished, interrupted or failed, by its lock, its checkpoint and its last words."""

import contextlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from clfctl.errors import CheckpointError, ClfctlError, Interrupted, StoppedAtOnce
from clfctl.runs.best import criterion_of, kept_of
from clfctl.runs.family import Trunk, trunk_of
from clfctl.runs.folder import RunFolder, find_runs
from clfctl.runs.header import Header, last_or_previous, read_last
from clfctl.runs.history import EpochResult, read_history
from clfctl.storage.files import reason_of, remove_leftovers, write_text
from clfctl.storage.json_lines import dump_json, read_json_lines
from clfctl.storage.lock import Holder, holder_of, locked

State = Literal["running", "finished", "interrupted", "failed", "broken"]
# Epochs whose time tells how long the next will take.
N_LATEST = 5
KILLED = "it ended without saying why: killed, or the machine stopped"


@dataclass(frozen=True)
class RunState:
    """A run as `clfctl runs` shows it.

    `why` says why a run is not finished. `epoch` epochs are finished of `epochs`, and `batch` of `n_batches` batches of
    the next; `best` is the value of `best_metric` in epoch `best_epoch`, whose weights are kept as best. `lr` is that
    of the latest step. `started_s` and `changed_s` are in seconds since 1970. `trunk` is the run that it is a branch
    of. `images_per_s` is that of the latest epoch, `epoch_s` the mean time of the latest ones. What is not known is
    None; `broken` runs have nothing else.
    """

    path: Path
    state: State
    why: str = ""
    epoch: int | None = None
    batch: int | None = None
    n_batches: int | None = None
    epochs: int | None = None
    monitor: str | None = None
    best_metric: str | None = None
    best: float | None = None
    best_epoch: int | None = None
    lr: float | None = None
    pid: int | None = None
    started_s: float | None = None
    changed_s: float | None = None
    trunk: Trunk | None = None
    images_per_s: float | None = None
    epoch_s: float | None = None

    @property
    def can_resume(self) -> bool:
        """Whether `clfctl resume` has something to do."""
        return self.state in ("interrupted", "failed")

    def left_s(self, now_s: float) -> float | None:
        """Return the seconds that a running run is likely to need yet, at a time in seconds since 1970; None: unknown.

        So many epochs as are left, each as long as the latest ones, less what has passed since the last of them.
        """
        if self.state != "running" or self.epoch_s is None or self.epoch is None or self.epochs is None:
            return None
        begun = (self.batch or 0) / self.n_batches if self.n_batches else 0.0
        passed = now_s - self.changed_s if self.changed_s is not None else 0.0
        # An epoch that takes longer than those before is not over before it is.
        running = max(0.0, (1 - begun) * self.epoch_s - max(0.0, passed)) if self.epoch < self.epochs else 0.0
        return running + max(0, self.epochs - self.epoch - 1) * self.epoch_s

    def as_record(self) -> dict[str, Any]:
        """Return the values by name, as JSON can hold them."""
        trunk = {**asdict(self.trunk), "path": str(self.trunk.path)} if self.trunk else None
        return {"name": self.path.name, **asdict(self), "path": str(self.path), "trunk": trunk}


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
            _leave_word(run, "interrupted", "Stopped at once by Ctrl-C.")
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
        header, damage = _read_last(run)
        return _running(run, header, holder) if holder else _ended(run, header, damage)
    except (OSError, ValueError, KeyError, TypeError, CheckpointError) as error:
        return RunState(run.path, "broken", _reason(error))


def _read_last(run: RunFolder) -> tuple[Header, str]:
    """Return what the last checkpoint says, or its predecessor and a sentence."""
    damage = (OSError, ValueError)
    try:
        header, error = last_or_previous(run.last, read_last, damage)
    except damage as both:
        raise ValueError(f"{run.last.name}: {_reason(both.__cause__ or both)}") from None
    return header, f"{run.last.name} cannot be read ({_reason(error)}), the one before it can" if error else ""


def _running(run: RunFolder, header: Header, holder: Holder) -> RunState:
    # Epochs since the last save are in the history only; it is written by the process that runs.
    written = read_history(read_json_lines(run.history), run.history)
    if len(written) <= len(header.history):
        return _state(run, header, "running", pid=holder.pid or None)
    state = _state(run, replace(header, history=written), "running", pid=holder.pid or None)
    return replace(state, epoch=len(written), batch=0, lr=written[-1].lr)


def _ended(run: RunFolder, header: Header, damage: str) -> RunState:
    if header.going_on().is_finished:
        return _state(run, header, "finished")
    state, why = _last_word(run)
    return _state(run, header, state, "; ".join(filter(None, (why, damage))))


def _state(run: RunFolder, header: Header, state: State, why: str = "", *, pid: int | None = None) -> RunState:
    """Return the state of a run that stands where a checkpoint was written."""
    saved = header.going_on()
    position, monitor = saved.position, str(header.settings.get("monitor", ""))
    best = kept_of(header.history)
    metric = criterion_of(str(header.settings["keep_best"]), monitor, header.history).metric
    changed = [path.stat().st_mtime for path in (run.end, run.history, run.last, run.config) if path.is_file()]
    return RunState(
        path=run.path,
        state=state,
        why=why,
        epoch=position.epoch,
        batch=position.batch,
        n_batches=position.n_batches,
        epochs=saved.last_epoch,
        monitor=monitor,
        best_metric=metric,
        best=best.metric(metric) if best else None,
        best_epoch=best.epoch if best else None,
        lr=saved.lr if position.epoch or position.batch else None,
        pid=pid,
        started_s=run.config.stat().st_mtime,
        changed_s=max(changed),
        trunk=trunk_of(run),
        images_per_s=_known(header.history[-1].images_per_s) if header.history else None,
        epoch_s=_known(mean_time(header.history)),
    )


def progress_words(state: RunState) -> str:
    """Return how far a run is: `3 of 8 epochs, 20 of 45 batches`."""
    batches = f", {state.batch} of {state.n_batches} batches" if state.batch else ""
    return f"{state.epoch} of {state.epochs} epochs{batches}"


def mean_time(history: Sequence[EpochResult]) -> float:
    """Return the mean time of the latest epochs in seconds, NaN if there are none or it was not noted."""
    latest = [each.time_s for each in history[-N_LATEST:]]
    return math.fsum(latest) / len(latest) if latest else math.nan


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


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


def _reason(error: BaseException) -> str:
    return reason_of(error) if isinstance(error, OSError) else str(error)
