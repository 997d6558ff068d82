"""A tracker: a thread that writes what is recorded of a training, so that the training waits for no library."""

import contextlib
import threading
import time
from collections.abc import Mapping

from clfctl.engine.watching import Training
from clfctl.tracking.backend import FINAL, Backend, Ending, Final, Item, Subject
from clfctl.tracking.recorded import Record, unwritten


class Tracker:
    """Writes to a backend. Nothing waits here but `wait_open` and `wait_closed`, until the time that they are given."""

    def __init__(self, name: str, backend: Backend, settings: Mapping[str, object]) -> None:
        self.name, self._backend, self._settings = name, backend, settings
        self._look, self._closing = threading.Event(), False
        self._opened, self._done = threading.Event(), threading.Event()
        self._at_end: tuple[Final | None, Ending] = None, "stopped"
        self._load: list[dict[str, float]] = []
        self.failure: Exception | None = None
        """What went wrong, after which nothing more is written."""

    def begin(self, training: Training) -> None:
        """Begin to write, in a thread."""
        self._subject = Subject(training.run, self._settings)
        self._record = Record(training.run, training.windows)
        self._last: dict[str, int] = {}
        self._thread = threading.Thread(target=self._work, name=f"track-{self.name}", daemon=True)
        self._thread.start()

    def wake(self, load: Mapping[str, float] | None = None) -> None:
        """Let the thread see whether there is something new; `load` is of the epoch that has just ended."""
        if load:
            self._load.append(dict(load))
        self._look.set()

    def close(self, final: Final | None, ending: Ending) -> None:
        """Let the thread write what is left, then how the training ended, and end."""
        self._at_end = final, ending
        self._closing = True
        self._look.set()

    def wait_open(self, until: float) -> None:
        """Wait until the library is ready, or has failed, or a time (monotonic seconds) has come."""
        self._opened.wait(max(0.0, until - time.monotonic()))

    def wait_closed(self, until: float) -> bool:
        """Wait until everything is written, or never will be, or a time has come; return whether there is an end."""
        return self._done.wait(max(0.0, until - time.monotonic()))

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
            final, ending = self._at_end
            if final is not None:
                self._show(final)
            self._backend.close(ending)
            self._done.set()
        except Exception as error:
            self.failure = error
            self._opened.set()
            self._done.set()  # before what may wait for the server that has just failed
            with contextlib.suppress(Exception):
                self._backend.close("stopped")

    def _show(self, final: Final) -> None:
        """Write what is known at the end, unless an earlier process has at the same epoch."""
        epoch, batches = self._record.position
        whole = Item(epoch, batches, {f"{FINAL}{name}": value for name, value in final.metrics.items()})
        for item in unwritten([whole], self._last):
            self._backend.show(final, item)

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
