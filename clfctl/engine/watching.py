"""Watching a training: what a display, a log or a tracker is told. Watchers observe; nothing that they do trains."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from clfctl.engine.progress import Progress
from clfctl.errors import CheckpointError, ClfctlError, WriteError
from clfctl.planning.plan import Plan
from clfctl.runs.folder import RunFolder
from clfctl.runs.history import EpochResult
from clfctl.schedules.recorded import Window


@dataclass(frozen=True)
class Training:
    """A training that is about to begin, or to go on.

    `history` has the epochs that are finished already. `progress` is written by the trainer while it trains: a display
    with a thread of its own may read it at any time. `curve` returns (time in epochs, learning rate) from the first
    epoch to the last, as far as the metrics of the finished epochs tell by then. `bad_images` gets the name of each
    image that could not be read, with the reason; `windows` gets what batches show, in the course of the training.
    """

    run: RunFolder
    plan: Plan
    history: tuple[EpochResult, ...]
    progress: Progress
    curve: Callable[[], Sequence[tuple[float, float]]] = tuple
    bad_images: Mapping[str, str] = field(default_factory=dict)
    windows: Sequence[Window] = ()


@dataclass(frozen=True)
class Steps:
    """Optimizer steps that were made since the last were handed over.

    `first` is the number of the first of them in the run, from 0; `losses` and `lrs` have an entry a step. They come
    where the trainer checks its losses anyway, every few dozen steps: watching never waits for the device.
    """

    first: int
    losses: Sequence[float]
    lrs: Sequence[float]


class Watcher:
    """What is told of a training: override what is of interest. This one does nothing.

    A watcher that raises an exception is told no more, and the training goes on without it; but where `is_essential`
    is set, its exception ends the training.
    """

    is_essential = False

    def start(self, training: Training) -> None:
        """Take note that training begins or goes on."""

    def step(self, steps: Steps) -> None:
        """Take the steps since the last call."""

    def epoch(self, result: EpochResult) -> None:
        """Take a finished epoch, validated and saved."""

    def end(self, error: BaseException | None) -> None:
        """Take note that training has ended, by itself or by an error or a signal."""


class Watchers(Watcher):
    """Several watchers as one, in their order; `tell` gets a sentence about each that failed and was dropped."""

    is_essential = True

    def __init__(self, watchers: Iterable[Watcher], tell: Callable[[str], None]) -> None:
        self._all = [*watchers]
        self._watching: list[Watcher] = []
        self._tell = tell

    def start(self, training: Training) -> None:
        """Tell all that training begins; those after one whose error ends it are told nothing, its end neither."""
        for watcher in self._all:
            self._watching.append(watcher)
            self._each(lambda watcher: watcher.start(training), [watcher])

    def step(self, steps: Steps) -> None:
        """Tell all of some steps."""
        self._each(lambda watcher: watcher.step(steps))

    def epoch(self, result: EpochResult) -> None:
        """Tell all of an epoch."""
        self._each(lambda watcher: watcher.epoch(result))

    def end(self, error: BaseException | None) -> None:
        """Tell all that training has ended."""
        watching, self._watching = self._watching, []
        self._each(lambda watcher: watcher.end(error), watching)

    def _each(self, call: Callable[[Watcher], None], watchers: Iterable[Watcher] | None = None) -> None:
        for watcher in [*self._watching] if watchers is None else watchers:
            try:
                call(watcher)
            except Exception as error:  # hours of training are not to be lost for what only looks on
                if watcher.is_essential:
                    raise
                if watcher in self._watching:  # else it is its end that failed
                    self._watching.remove(watcher)
                    with contextlib.suppress(Exception):
                        watcher.end(error)  # a display must give the terminal back
                what = str(error) if isinstance(error, ClfctlError) else f"{type(error).__name__}: {error}"
                with contextlib.suppress(Exception):
                    self._tell(f"Warning: {type(watcher).__name__} failed and was dropped; training goes on: {what}")


def may_write(error: BaseException | None) -> bool:
    """Return whether files may still be written after a training that ended so.

    A second Ctrl-C does not wait for them, and a disk that failed is not written to again.
    """
    return error is None or (isinstance(error, ClfctlError) and not isinstance(error, WriteError | CheckpointError))
