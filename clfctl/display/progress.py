"""How far a command is: a bar on the terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class RateColumn(ProgressColumn):
    """Images per second, of the last half minute."""

    def render(self, task: Task) -> Text:
        """Return the rate, or a dash while there is none."""
        return Text(f"{task.speed:.0f} images/s" if task.speed else "–")


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error, a terminal; yield what is told how many more are done."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda n: progress.advance(task, n)


@contextmanager
def predict_progress(total: int) -> Iterator[Callable[[int], None]]:
    """As `progress_bar`, below the rows of a table where these go to the terminal too."""
    # Short enough for 80 columns and the ^C that a terminal echoes: a line more would shift what is to be cleared.
    columns = (TextColumn("Predicting"), BarColumn(24), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    # Rows for a pipe or a file do not concern Rich; those for the terminal it writes above the bar.
    shares_terminal = sys.stdout.isatty()
    console = Console(stderr=not shares_terminal)
    with Progress(*columns, console=console, transient=True, redirect_stdout=shares_terminal) as progress:
        task = progress.add_task("Predicting", total=total)
        yield lambda n: progress.advance(task, n)
