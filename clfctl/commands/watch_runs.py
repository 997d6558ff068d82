"""clfctl runs --watch: the runs of a folder as they go on, until Ctrl-C."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clfctl.commands.runs import look, plain_line
from clfctl.display.output import Output
from clfctl.runs.family import in_families
from clfctl.runs.state import RunState
from clfctl.storage.json_lines import dump_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# Seconds between two looks; a look takes a millisecond or two a run, at most a tenth of the time.
EVERY_S = 1.0
_SHARE = 10


def watch_runs(folder: Path, output: Output, *, tree: bool = False) -> None:
    """Show the runs on a terminal as a table that is drawn again; else write a line whenever one changes."""
    look(folder)  # a folder that is none is refused before anything is drawn
    if output.is_quiet and not output.as_json:
        return
    try:
        if output.can_redraw and not output.as_json:
            _draw(folder, tree=tree)
        else:
            output.stream(changed_lines((look(folder) for _ in ticks()), as_json=output.as_json))
    except (KeyboardInterrupt, BrokenPipeError):  # the way to end it, or a reader that has seen enough
        return


def ticks(every_s: float = EVERY_S, sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Yield now and then: every second, or where what is done meanwhile takes long, less often."""
    while True:
        started = time.perf_counter()
        yield
        sleep(max(every_s, (_SHARE - 1) * (time.perf_counter() - started)))


def changed_lines(looks: Iterable[Sequence[RunState]], *, as_json: bool) -> Iterator[str]:
    """Yield the lines of a look that has any: all runs at the first, at a later one those that are not as they were."""
    before: dict[Path, RunState] = {}
    for states in looks:
        changed = [state for state in states if before.get(state.path) != state]
        if changed:
            yield "".join((dump_json(each.as_record()) if as_json else plain_line(each)) + "\n" for each in changed)
        before = {state.path: state for state in states}


def ordered(states: Sequence[RunState], *, tree: bool) -> list[tuple[RunState, str]]:
    """Return the runs with what is drawn before their names: those that are running first, or as a tree."""
    if tree:
        return list(in_families(states))
    return [(state, "") for state in sorted(states, key=lambda each: each.state != "running")]


def _draw(folder: Path, *, tree: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for _ in ticks():
            live.update(view(ordered(look(folder), tree=tree), folder, time.time(), console), refresh=True)


def view(rows: Sequence[tuple[RunState, str]], folder: Path, now_s: float, console: "Console") -> "RenderableType":
    """Return what fits the terminal: the table, and a line with how many runs are in which state."""
    from rich.console import Group
    from rich.text import Text

    from clfctl.display.runs_table import watched_table

    width, height = console.size
    table, n_hidden = watched_table(rows, now_s, width=width, height=height - 1)
    counts = Counter(state.state for state, _ in rows)
    words = [f"{n} {name}" for name, n in counts.items()] or [f"There are no runs in {folder}"]
    hidden = [f"{n_hidden} more than fit"] if n_hidden else []
    line = f"{time.strftime('%H:%M:%S', time.localtime(now_s))}  {', '.join([*words, *hidden])}; Ctrl-C ends this"
    return Group(table, Text(), Text(line, "dim", no_wrap=True, overflow="ellipsis"))
