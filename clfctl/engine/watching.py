"""Watching a training: what a display, a log or a tracker is told. Watchers observe; nothing that they do trains."""

from collections.abc import Sequence
from dataclasses import dataclass

from clfctl.engine.results import EpochResult, Progress
from clfctl.planning.plan import Plan
from clfctl.runs.folder import RunFolder


@dataclass(frozen=True)
class Training:
    """A training that is about to begin, or to go on.

    `history` has the epochs that are finished already. `progress` is written by the trainer while it trains: a display
    with a thread of its own may read it at any time.
    """

    run: RunFolder
    plan: Plan
    history: tuple[EpochResult, ...]
    progress: Progress


@dataclass(frozen=True)
class Steps:
    """Optimizer steps that were made since the last were handed over.

    `first` is the number of the first of them in the run, from 0; `losses` and `lrs` have an entry a step. They come
    where the trainer looks at its losses anyway, every few dozen steps: watching never waits for the device.
    """

    first: int
    losses: Sequence[float]
    lrs: Sequence[float]


class Watcher:
    """What is told of a training: override what is of interest. This one does nothing."""

    def start(self, training: Training) -> None:
        """Take note that training begins or goes on."""

    def step(self, steps: Steps) -> None:
        """Take the steps since the last call."""

    def epoch(self, result: EpochResult) -> None:
        """Take a finished epoch, validated and saved."""

    def end(self, error: BaseException | None) -> None:
        """Take note that training has ended, by itself or by an error or a signal."""
