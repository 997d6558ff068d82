"""All trackers of a training as one watcher: they are told of it, and waited for, together."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence

from clfctl.engine.watching import Steps, Training, Watcher, may_write
from clfctl.errors import ClfctlError, Interrupted, TogetherError, first_line
from clfctl.runs.history import EpochResult
from clfctl.tracking.backend import Ending, Final
from clfctl.tracking.tracker import Tracker

# So many seconds all of them together are waited for. Libraries take seconds to be imported: before the first epoch,
# where that slows no training down.
OPEN_S = 15.0
# What is still to be written when training has ended; what a server then lacks, a resume writes.
WAIT_S = 60.0
# After a signal somebody waits who will not wait for long: Docker gives 10 seconds, SLURM and Kubernetes 30.
STOPPED_S = 5.0
# A second Ctrl-C does not wait, and where a disk has failed there is little to wait for.
AT_ONCE_S = 1.0


class Trackers(Watcher):
    """Tells each tracker what it is to write. One that fails is told of once, by `tell`, and training goes on."""

    def __init__(
        self, trackers: Sequence[Tracker], final: Callable[[], Final | None], tell: Callable[[str], None]
    ) -> None:
        self._trackers, self._final, self._tell = trackers, final, tell
        self._writing: list[Tracker] = []

    def start(self, training: Training) -> None:
        """Let all begin to write; they get some seconds to be ready."""
        for each in self._trackers:
            each.begin(training)
        self._writing = [*self._trackers]
        until = time.monotonic() + OPEN_S
        for each in self._writing:
            each.wait_open(until)

    def step(self, steps: Steps) -> None:  # noqa: ARG002 (what is done is in the checkpoint)
        """Wake their threads."""
        self._wake()

    def epoch(self, result: EpochResult) -> None:
        """Note how busy the machine is, and wake their threads."""
        self._wake({"epoch": float(result.epoch), **system_load()})

    def end(self, error: BaseException | None) -> None:
        """Let all write what is left, and wait for that, for a time that they have together."""
        self._drop_failed()
        if not self._writing:
            return
        final = self._measured() if error is None else None
        for each in self._writing:
            each.close(final, ending_of(error))
        patience_s = patience(error)
        until = time.monotonic() + patience_s
        late = [each for each in self._writing if not each.wait_closed(until)]
        self._drop_failed()
        for each in late:
            what = f"{each.name} has not written everything within {patience_s:.0f} s"
            self._tell(f"Warning: {what}; what it lacks is written when the run is resumed.")
        self._writing = []

    def _measured(self) -> Final | None:
        """Return what is known at the end; the numbers of the epochs are written in any case."""
        try:
            return self._final()
        except Exception as error:
            self._tell(f"Warning: the trackers get no confusion matrix and no images: {_words(error)}")
            return None

    def _wake(self, load: dict[str, float] | None = None) -> None:
        self._drop_failed()
        for each in self._writing:
            each.wake(load)

    def _drop_failed(self) -> None:
        for each in [*self._writing]:
            if each.failure is not None:
                self._writing.remove(each)
                what = f"{each.name} has failed and is not written any more: {_words(each.failure)}"
                self._tell(f"Warning: {what}; what it lacks is written when the run is resumed.")


def patience(error: BaseException | None) -> float:
    """Return for how many seconds trackers are waited for after a training that ended so."""
    if not may_write(error):
        return AT_ONCE_S
    return STOPPED_S if isinstance(error, Interrupted | TogetherError) else WAIT_S


def ending_of(error: BaseException | None) -> Ending:
    """Return what became of a training: its end, a signal, or what went wrong."""
    if error is None:
        return "finished"
    return "stopped" if isinstance(error, Interrupted) or not isinstance(error, Exception) else "failed"


def _words(error: Exception) -> str:
    return (str(error) if isinstance(error, ClfctlError) else first_line(error)).rstrip(".")


def system_load() -> dict[str, float]:
    """Return how busy the machine is: processes that want a core, a core, and the most memory of this one, in GB."""
    found = {"system/time_s": time.time()}
    with contextlib.suppress(OSError, AttributeError):
        found["system/load_per_core"] = os.getloadavg()[0] / (os.cpu_count() or 1)
    with contextlib.suppress(ImportError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found["system/memory_gb"] = most / (1e9 if sys.platform == "darwin" else 1e6)
    import torch

    if torch.cuda.is_initialized():
        found["system/gpu_memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
    return found
