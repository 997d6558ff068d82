"""Runs as a table for the terminal: what fits 80 columns, and why a run stopped where there is more room."""

import time
from collections.abc import Sequence

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from clfctl.display.curve import format_lr
from clfctl.display.epochs import WIDE, format_rate, format_time
from clfctl.runs.state import RunState

STYLES = {"running": "cyan", "finished": "green", "interrupted": "yellow", "failed": "red", "broken": "red"}
TITLES = ("state", "epochs", "best", "LR", "age")
# The titles, the line below them, and the line that sums up.
_HEADER_LINES = 4
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def print_runs(states: Sequence[RunState], console: Console, before: Sequence[str] = ()) -> None:
    """Print a table of the runs; `before` has what is drawn before the name of each, such as the lines of a tree."""
    is_wide = console.width >= WIDE
    console.print(runs_table(states, time.time(), before, wide=is_wide))
    if not is_wide:
        for state in states:
            if state.why and state.state in ("failed", "broken"):
                console.print(Text(f"{state.path.name}: {state.why}", STYLES[state.state]))


def runs_table(states: Sequence[RunState], now_s: float, before: Sequence[str] = (), *, wide: bool) -> Table:
    """Return the table; `now_s` is in seconds since 1970, `wide` adds the reasons. Only names are ever cut.

    Where a tree is drawn, branches have the epoch after which they begin.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    rows = [[state.state, *_cells(state, now_s)] for state in states]
    table.add_column("run", overflow="ellipsis")  # not no_wrap: Rich shrinks such columns last
    for title, *cells in zip(TITLES, *rows, strict=True):
        justify: JustifyMethod = "left" if title == "state" else "right"
        table.add_column(title, justify=justify, no_wrap=True, min_width=max(map(len, (title, *cells))))
    before = before or [""] * len(states)
    is_tree = any(before)
    if is_tree:
        table.add_column("from", justify="right", no_wrap=True)
    if wide:
        table.add_column("why", overflow="fold")
    for state, drawn, (word, *cells) in zip(states, before, rows, strict=True):
        begins = [f"{state.trunk.t:.4g}" if state.trunk else ""] if is_tree else []
        why = [Text(state.why)] if wide else []
        table.add_row(Text(drawn + state.path.name), Text(word, STYLES[word]), *cells, *begins, *why)
    return table


def watched_table(rows: Sequence[tuple[RunState, str]], now_s: float, *, width: int, height: int) -> tuple[Table, int]:
    """Return the table of runs that are watched, with rates and the time left, and how many had no room.

    As many as fit into `height` lines; the columns are those for which a terminal of `width` has room. `rows` have
    what is drawn before the name.
    """
    shown = rows[: max(1, height - _HEADER_LINES)]
    titles = ("state", "epochs", "best", "images/s", "left", *(("LR", "since") if width >= WIDE else ()))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("run", overflow="ellipsis", no_wrap=True)
    for title in titles:
        table.add_column(title, justify="left" if title == "state" else "right", no_wrap=True, min_width=len(title))
    for state, before in shown:
        epochs, best, lr, age = _cells(state, now_s)
        left = state.left_s(now_s)
        is_running = state.state == "running"
        rate = format_rate(state.images_per_s) if is_running and state.images_per_s is not None else ""
        cells = (epochs, best, rate, "" if left is None else format_time(left), lr, age)[: len(titles) - 1]
        table.add_row(Text(before + state.path.name), Text(state.state, STYLES[state.state]), *cells)
    return table, len(rows) - len(shown)


def format_age(age_s: float) -> str:
    """Return a time in its largest unit: `42 s`, `5 min`, `3 h`, `12 d`."""
    size, unit = next((each for each in _UNITS if age_s >= each[0]), _UNITS[-1])
    return f"{max(0, int(age_s // size))} {unit}"


def _cells(state: RunState, now_s: float) -> list[str]:
    if state.epoch is None:
        return ["", "", "", ""]
    epoch = f"{state.epoch}"
    if state.batch and state.n_batches:
        epoch += f".{min(9, 10 * state.batch // state.n_batches)}"
    best = "" if state.best is None else f"{state.best_metric} {state.best:.4f}"
    age = "" if state.started_s is None else format_age(now_s - state.started_s)
    return [f"{epoch}/{state.epochs}", best, "" if state.lr is None else format_lr(state.lr), age]
