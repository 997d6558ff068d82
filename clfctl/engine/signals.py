"""Signals that ask to stop: the running batch is finished first, a second Ctrl-C does not wait."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

# Exit codes: those of a process that the signal killed; a scheduler's warning (SIGUSR1) is no failure.
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
if hasattr(signal, "SIGUSR1"):
    EXIT_CODES[signal.SIGUSR1] = 0


class StopSignals:
    """While entered, notes a signal in `received` instead of ending the process."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Only the main thread may set handlers; a library user's thread trains without them.
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._note) for each in EXIT_CODES}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (signal's protocol)
        self.received = signal.Signals(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
