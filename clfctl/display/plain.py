"""Epochs as plain lines, for logs, pipes and terminals that cannot move the cursor."""

from clfctl.display.base import Display
from clfctl.display.epochs import plain_line
from clfctl.runs.history import EpochResult


class PlainDisplay(Display):
    """One line of ASCII an epoch on standard output."""

    def __init__(self, total_epochs: int) -> None:
        self.total_epochs = total_epochs

    def add(self, result: EpochResult) -> None:
        """Print a finished epoch."""
        print(plain_line(result, self.total_epochs), flush=True)
