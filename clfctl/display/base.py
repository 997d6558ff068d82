"""What every display of a training has in common."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from clfctl.runs.history import EpochResult


class Display:
    """Shows a training while it runs: entered before its first epoch, left after its end. This one shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End what was shown while training ran."""

    def add(self, result: EpochResult) -> None:
        """Show a finished epoch."""

    def update_curve(self, curve: Sequence[tuple[float, float]]) -> None:
        """Take the (time in epochs, lr) that are now known to come; plateau's change after an epoch."""
