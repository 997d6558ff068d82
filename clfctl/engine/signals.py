"""Signals that ask to stop: while training the running batch is finished first, before and after it nothing waits."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from clfctl.errors import Interrupted, StoppedAtOnce
from clfctl.runs.header import Position
from clfctl.storage.names import shell

# Exit codes: those of a process that the signal killed; a scheduler's warning (SIGUSR1) is no failure.
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
if hasattr(signal, "SIGUSR1"):
    EXIT_CODES |= {signal.SIGUSR1: 0, signal.SIGHUP: 129}

Handler = Callable[[int, FrameType | None], None]


class StopSignals:
    """While entered, notes a signal in `received` instead of ending the process; the next SIGINT does not wait.

    With `listens` False it does nothing: a library leaves the signals of its process alone.
    """

    def __init__(self, *, listens: bool = True) -> None:
        self.received: signal.Signals | None = None
        self.listens = listens
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if self.listens:
            self._before = _handle(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _give_back(self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (signal's protocol)
        self.received = signal.Signals(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def stopped(received: signal.Signals, at: Position, run: Path) -> Interrupted:
    """Return the error of a training that a signal has stopped, when it is saved."""
    batch = f"in epoch {at.epoch + 1}, after batch {at.batch} of {at.n_batches}"
    where = batch if at.batch else f"after epoch {at.epoch}"
    hint = f"go on with: {shell('resume', run)}"
    return Interrupted(f"Stopped by {received.name} {where}; saved.", hint, EXIT_CODES[received])


@contextlib.contextmanager
def stopping_at_once(hint: str) -> Iterator[None]:
    """Turn a signal during the block into StoppedAtOnce: for the time in which there is nothing to save."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (signal's protocol)
        received = signal.Signals(number)
        # What cleans up now is not to be stopped once more by the same impatience.
        _handle(signal.SIG_IGN)
        raise StoppedAtOnce(f"Stopped by {received.name}.", hint, EXIT_CODES[received])

    before = _handle(stop)
    try:
        yield
    finally:
        _give_back(before)


def _handle(handler: Any) -> dict[signal.Signals, Any]:
    """Set the handler of every signal that stops; return those before it."""
    # Only the main thread may set handlers; a library user's thread trains without them.
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {each: signal.signal(each, handler) for each in EXIT_CODES if not _is_nohup(each)}


def _is_nohup(each: signal.Signals) -> bool:
    """Return whether a hangup (a closed terminal, a lost connection) was made harmless by whoever started us."""
    return each.name == "SIGHUP" and signal.getsignal(each) is signal.SIG_IGN


def _give_back(before: dict[signal.Signals, Any]) -> None:
    for each, handler in before.items():
        signal.signal(each, handler)
