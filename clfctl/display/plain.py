"""Epochs as plain lines, for logs, pipes and terminals that cannot move the cursor."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from clfctl.display.epochs import plain_line
from clfctl.engine.results import EpochResult


class PlainDisplay:
    """One line of ASCII an epoch on standard output."""

    def __init__(self, total_epochs: int) -> None:
        self.total_epochs = total_epochs

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to end."""

    def add(self, result: EpochResult) -> None:
        """Print a finished epoch."""
        print(plain_line(result, self.total_epochs), flush=True)

    def update_curve(self, curve: Sequence[tuple[float, float]]) -> None:
        """Do nothing: no curve is shown."""
