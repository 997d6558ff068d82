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
from clfctl.tracking.backend import FINAL, Backend, Final, Item, Subject
from clfctl.tracking.recorded import Record, finite, unwritten

# What is still to be written when training has ended is waited for, of all trackers together; what a server then lacks,
# a resume writes. Whoever stopped a training has seconds at most before the machine is taken away.
WAIT_S, STOPPED_S = 60.0, 5.0
# Libraries take seconds to be imported: before the first epoch, where that slows no training down.
OPEN_S = 15.0


class Together:
    """The trackers of one training: they open and close at the same time, so that waiting for all is as for one."""

    def __init__(self, final: Callable[[], Final | None]) -> None:
        self.trackers: list[Tracker] = []
        self.failed: Exception | None = None
        self._final, self._opened_s, self._closed_s = final, 0.0, 0.0

    def begin(self, training: Training) -> float:
        """Begin to write, with all of them; return the moment until which they are waited for."""
        if not self._opened_s:
            for each in self.trackers:
                each.begin(training)
            self._opened_s = time.monotonic() + OPEN_S
        return self._opened_s

    def close(self, error: BaseException | None) -> float:
        """Let all of them write what is left; return the moment until which they are waited for."""
        if not self._closed_s:
            final = None
            if error is None:
                try:
                    final = self._final()
                except Exception as reason:  # the numbers of the epochs are written in any case
                    self.failed = reason
            for each in self.trackers:
                each.finish(final, is_whole=error is None)
            self._closed_s = time.monotonic() + (WAIT_S if error is None else STOPPED_S if may_write(error) else 1.0)
        return self._closed_s


class Tracker(Watcher):
    """Writes to a backend. What fails there is raised at the next call, once: training goes on without it."""

    def __init__(self, name: str, backend: Backend, settings: dict[str, object], together: Together) -> None:
        self.name, self._backend, self._settings, self._together = name, backend, settings, together
        self._look, self._opened, self._closing = threading.Event(), threading.Event(), False
        self._at_end: Final | None = None
        self._is_whole = False
        self._failure: Exception | None = None
        self._load: list[dict[str, float]] = []
        self._thread: threading.Thread | None = None
        together.trackers.append(self)

    def begin(self, training: Training) -> None:
        """Begin to write, beside the training."""
        self._subject = Subject(training.run, self._settings)
        self._record = Record(training.run, training.windows)
        self._last: dict[str, int] = {}
        self._thread = threading.Thread(target=self._work, name=f"track-{self.name}", daemon=True)
        self._thread.start()

    def finish(self, final: Final | None, *, is_whole: bool) -> None:
        """Write what is left, and `final` if there is any; `is_whole` is whether the training came to its end."""
        self._at_end, self._is_whole, self._closing = final, is_whole, True
        self._look.set()

    def start(self, training: Training) -> None:
        """Begin, with the others; what is open within some seconds is waited for."""
        self._opened.wait(max(0.0, self._together.begin(training) - time.monotonic()))

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
        """Write what is left, with the others, and wait for it. Raises ClfctlError if it fails, or takes too long."""
        thread, self._thread = self._thread, None
        if thread is None or self._failure is not None:
            self._raise()
            return
        until_s = self._together.close(error)
        thread.join(max(0.0, until_s - time.monotonic()))
        if thread.is_alive():
            self._fail("it has not answered in time; what it lacks is written when the run is resumed")
        self._raise()
        failed, self._together.failed = self._together.failed, None
        if failed is not None:
            raise ClfctlError(f"the last measurement failed, and is not in any track: {first_line(failed)}")

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
            if self._is_whole:
                self._backend.end(self._new_final())
            self._backend.close()
        except Exception as error:
            self._failure = error
            self._opened.set()
            with contextlib.suppress(Exception):
                self._backend.close()

    def _new_final(self) -> Final | None:
        """Write the numbers at the end, of the epoch that is the last; return what goes with them if they are new."""
        if self._at_end is None:
            return None
        values = {f"{FINAL}{name}": value for name, value in self._at_end.metrics.items()}
        epochs, batches = self._record.reached
        items = [*unwritten([Item(epochs, batches, finite(values))], self._last)]
        if items:
            self._backend.write(items)
        return self._at_end if items else None

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
