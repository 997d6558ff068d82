"""A tracker as a watcher of a training: a thread of its own writes, and nothing waits for it but the very end."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable

from clfctl.engine.watching import Steps, Training, Watcher, may_write
from clfctl.errors import ClfctlError, first_line
from clfctl.runs.history import EpochResult
from clfctl.tracking.backend import Backend, Final, Item, Subject
from clfctl.tracking.recorded import Record, unwritten

# What is still to be written when training has ended is waited for; what a server then lacks, a resume writes.
WAIT_S = 60.0
# Libraries take seconds to be imported: before the first epoch, where that slows no training down.
OPEN_S = 15.0


class Tracker(Watcher):
    """Writes to a backend. What fails there is raised at the next call, once: training goes on without it."""

    def __init__(self, name: str, backend: Backend, settings: dict[str, object], final: Callable[[], Final]) -> None:
        self.name, self._backend, self._settings, self._final = name, backend, settings, final
        self._look, self._opened, self._closing = threading.Event(), threading.Event(), False
        self._at_end: Final | None = None
        self._failure: Exception | None = None
        self._load: list[dict[str, float]] = []
        self._thread: threading.Thread | None = None

    def start(self, training: Training) -> None:
        """Begin to write, beside the training; what is open within some seconds is waited for."""
        self._subject = Subject(training.run, self._settings)
        self._record = Record(training.run, training.windows)
        self._last: dict[str, int] = {}
        self._thread = threading.Thread(target=self._work, name=f"track-{self.name}", daemon=True)
        self._thread.start()
        self._opened.wait(OPEN_S)

    def step(self, steps: Steps) -> None:  # noqa: ARG002 (what is done is in the checkpoint)
        """Wake the thread."""
        self._look.set()
        self._raise()

    def epoch(self, result: EpochResult) -> None:
        """Note how busy the machine is, and wake the thread."""
        self._load.append({"epoch": float(result.epoch), **system_load()})
        self._look.set()
        self._raise()

    def end(self, error: BaseException | None) -> None:
        """Write what is left, and wait for it. Raises ClfctlError if that failed, or takes too long."""
        thread, self._thread = self._thread, None
        if thread is None or self._failure is not None:
            self._raise()
            return
        failed: Exception | None = None
        if error is None:
            try:
                self._at_end = self._final()
            except Exception as reason:  # the numbers of the epochs are written in any case
                failed = reason
        self._closing = True
        self._look.set()
        thread.join(WAIT_S if may_write(error) else 1.0)
        if thread.is_alive():
            self._fail(f"it has not answered for {WAIT_S:.0f} s; what it lacks is written when the run is resumed")
        self._raise()
        if failed is not None:
            raise failed

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            self._thread = None
            self._fail(str(failure) if isinstance(failure, ClfctlError) else first_line(failure))

    def _fail(self, why: str) -> None:
        raise ClfctlError(f"{self.name}: {why}")

    def _work(self) -> None:
        """Write until the end: the thread's own function."""
        try:
            self._last = dict(self._backend.open(self._subject))
            self._opened.set()
            while True:
                self._look.clear()
                is_closing = self._closing
                self._write_new()
                if is_closing:
                    break
                self._look.wait()
            if self._at_end is not None:
                self._backend.end(self._at_end)
            self._backend.close()
        except Exception as error:
            self._failure = error
            self._opened.set()
            with contextlib.suppress(Exception):
                self._backend.close()

    def _write_new(self) -> None:
        items = list(unwritten(self._record.new_items(), self._last))
        epochs = [item for item in items if "time_s" in item.values]
        loads = {int(each.pop("epoch")): each for each in (self._load.pop(0) for _ in range(len(self._load)))}
        # Of epochs that were done before this process began nothing is known.
        with_load = [
            Item(item.step, item.batches, {**item.values, **loads.pop(item.step, {})}) if item in epochs else item
            for item in items
        ]
        self._load += [{"epoch": float(epoch), **values} for epoch, values in loads.items()]
        if with_load:
            self._backend.write(with_load)
            for item in with_load:
                self._last |= dict.fromkeys(item.values, item.step)


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
