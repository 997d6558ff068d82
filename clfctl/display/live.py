"""The live display: table of epochs, progress of the running one and the learning-rate curve with 'you are here'."""

import sys
import time
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clfctl.display.curve import draw_curve, format_lr
from clfctl.display.epochs import WIDE, columns, format_rate, format_time
from clfctl.engine.progress import Progress
from clfctl.engine.watching import Training, Watcher
from clfctl.runs.history import EpochResult

REFRESHES_PER_S = 8
_CURVE_HEIGHT = 7
_MAX_CURVE_WIDTH = 72
_HEADER_HEIGHT = 2
_CURVE_GAP = 3
_CELL_GAP = 3  # a blank, the line between two columns, or what stands for it, and a blank
# Columns that a narrow terminal does without, in this order.
_FIRST_TO_GO = ("images/s", "time", "best", "decay", "momentum", "train loss", "val loss")


class LiveTable(Watcher):
    """Redraws itself from a thread of its own that reads `progress`: a batch costs the training loop nothing here."""

    _training: Training
    _live: Live | None = None

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self.results: list[EpochResult] = []

    def start(self, training: Training) -> None:
        """Begin with the epochs that are finished already."""
        self.watch(training)
        self._live = Live(
            console=self.console,
            get_renderable=self.view,
            refresh_per_second=REFRESHES_PER_S,
            transient=True,
            vertical_overflow="crop",
            redirect_stderr=sys.stderr.isatty(),  # a log file of stderr stays one
        )
        self._live.start()

    def watch(self, training: Training) -> None:
        """Take what is shown; nothing is shown yet."""
        self._training = training
        self.results = [*training.history]
        self._curve = training.curve()

    def epoch(self, result: EpochResult) -> None:
        """Append a row, and draw the curve that is now known to come."""
        self.results.append(result)
        if self._training.plan.schedule.follows_metrics:
            self._curve = self._training.curve()

    def end(self, error: BaseException | None) -> None:  # noqa: ARG002 (shown after an error too)
        """Replace the live view by the table of all epochs."""
        if self._live:
            self._live.stop()
        if self.results:
            total_epochs = self._training.plan.epochs
            self.console.print(epoch_table(self.results, total_epochs, self.console.width))

    def view(self) -> RenderableType:
        """Return what fits the terminal as it is now."""
        width, height = self.console.size
        height -= 1  # the cursor's line
        line = progress_line(self._training.progress, self._training.plan.epochs, self.results, wide=width >= WIDE)
        # Room for the ^C that a terminal echoes: a line more would shift all that is to be cleared.
        # Narrower, not padded: blanks would fill the line to its end.
        bar = Constrain(line, width - 3)
        if width >= WIDE:
            table = self._last_rows(height - 2, width)
            free = width - self.console.measure(table).maximum - _CURVE_GAP
            grid = Table.grid(padding=(0, _CURVE_GAP, 0, 0))
            grid.add_row(table, self._curve_text(min(free, _MAX_CURVE_WIDTH), min(height - 3, 2 * _CURVE_HEIGHT + 1)))
            return Group(grid, Text(), bar)
        with_curve = height >= _HEADER_HEIGHT + _CURVE_HEIGHT + 6
        table = self._last_rows(height - 2 - (_CURVE_HEIGHT + 2 if with_curve else 0), width)
        lower: list[RenderableType] = [Text(), self._curve_text(width, _CURVE_HEIGHT)] if with_curve else []
        return Group(table, *lower, Text(), bar)

    def _last_rows(self, height: int, width: int) -> Table:
        n_rows = max(1, height - _HEADER_HEIGHT)
        return epoch_table(self.results[-n_rows:], self._training.plan.epochs, width)

    def _curve_text(self, width: int, height: int) -> Text:
        here = position(self._training.progress)
        caption = f"learning rate: {format_lr(self._training.progress.lr)} at epoch {here:.1f}"
        lines = draw_curve([self._curve], width, height, marker=here)
        return Text("\n").join([Text(caption[:width], "bold"), *(_painted(line) for line in lines)])


def position(progress: Progress) -> float:
    """Return where training is, in epochs; validation follows the end of its epoch."""
    if progress.phase != "train":
        return progress.epoch + 1.0
    return progress.epoch + min(1.0, progress.batch / max(1, progress.n_batches))


def epoch_table(results: Sequence[EpochResult], total_epochs: int, width: int) -> Table:
    """Return the table of the epochs for a terminal of `width` columns; a number without room is left out whole."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    rows = {
        column.title: [column.text(result, total_epochs, width >= WIDE) for result in results] for column in columns()
    }
    for column in columns():
        if column.may_lack and not any(rows[column.title]):
            del rows[column.title]
    room = {title: max(map(cell_len, (title, *cells))) + _CELL_GAP for title, cells in rows.items()}
    for title in _FIRST_TO_GO:
        if sum(room.values()) - _CELL_GAP <= width:
            break
        room.pop(title, None)
    for title in room:
        table.add_column(title, justify="center" if title == "best" else "right", no_wrap=True)
    for number, result in enumerate(results):
        table.add_row(*(rows[title][number] for title in room), style="green" if result.is_best else None)
    return table


def progress_line(progress: Progress, total_epochs: int, results: Sequence[EpochResult], wide: bool) -> Table:
    """Return one line: epoch, phase, bar, batches, images per second and the time that the phase has left."""
    batch, n_batches = progress.batch, progress.n_batches
    elapsed_s = time.perf_counter() - progress.started_s
    n_done = batch - progress.first_batch
    moving = n_done > 0 and elapsed_s > 0
    rate = format_rate(progress.images / elapsed_s) if moving else "–"
    left = format_time(elapsed_s * max(0, n_batches - batch) / n_done) if moving else "–"
    parts = [f"{batch}/{n_batches}", f"{rate} images/s", f"{left} left"]
    if wide and results:
        n_left = max(0, total_epochs - len(results))
        parts.append(
            f"about {format_time(n_left * sum(each.time_s for each in results) / len(results))} for all epochs"
        )
    if progress.n_bad_images:
        parts.append(f"{progress.n_bad_images} bad")
    line = Table.grid(expand=not wide, padding=(0, 2, 0, 0))
    line.add_column(no_wrap=True)
    line.add_column(ratio=None if wide else 1)
    line.add_column(no_wrap=True)
    style = "cyan" if progress.phase == "train" else "magenta"
    bar = ProgressBar(max(1, n_batches), batch, width=40 if wide else None, complete_style=style, finished_style=style)
    line.add_row(f"epoch {progress.epoch + 1}/{total_epochs} {progress.phase:<5}", bar, "  ".join(parts))
    return line


def _painted(line: str) -> Text:
    text = Text(line, "cyan", no_wrap=True)
    text.highlight_regex(r"[^\u2800-\u28ff]+", "dim")
    text.highlight_regex("▲.*$|^.*▲", "not dim")
    text.highlight_regex("▲", "bold yellow")
    return text
