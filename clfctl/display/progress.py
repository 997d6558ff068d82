"""How far a command is, on standard error: a bar, where that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from clfctl.data.cache.make import Onlookers
from clfctl.display.notes import note
from clfctl.settings.groups import OutputSettings


class RateColumn(ProgressColumn):
    """Images per second, of the last half minute."""

    def render(self, task: Task) -> Text:
        """Return the rate, as long as there is none a dash."""
        return Text(f"{task.speed:.0f} images/s" if task.speed else "–")


@contextmanager
def progress_bar(what: str, total: int, *, hidden: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error, if that is a terminal; yield what is told how many more are done."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = hidden or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task(what, total=total)
        yield lambda n: progress.advance(task, n)


@contextmanager
def predict_progress(total: int) -> Iterator[Callable[[int], None]]:
    """As `progress_bar`, below the rows of a table where these go to the terminal too."""
    # Short enough for 80 columns and the ^C that a terminal echoes: a line more would shift what is to be cleared.
    columns = (TextColumn("Predicting"), BarColumn(24), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    # Rows for a pipe or a file are none of Rich's business; those for the terminal it writes above the bar.
    shares_terminal = sys.stdout.isatty()
    console = Console(stderr=not shares_terminal)
    with Progress(*columns, console=console, transient=True, redirect_stdout=shares_terminal) as progress:
        task = progress.add_task("Predicting", total=total)
        yield lambda n: progress.advance(task, n)


def onlookers(output: OutputSettings) -> Onlookers:
    """Return those who look on: lines and bars on standard error, as far as the output settings allow."""
    return Onlookers(partial(note, output), partial(progress_bar, hidden=output.quiet))
