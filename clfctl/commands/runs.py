"""clfctl runs: what runs there are and how they are doing. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clfctl.display.curve import format_lr
from clfctl.display.output import Output
from clfctl.errors import UsageError
from clfctl.runs.family import from_words, in_families
from clfctl.runs.folder import RunFolder
from clfctl.runs.state import RunState, state_of, states_in

if TYPE_CHECKING:
    from rich.console import Console


def runs(folder: Path, output: Output, *, tree: bool = False) -> None:
    """Print the runs of a folder, or of a run folder the one: a table, plain lines to a file, or JSON lines.

    A `tree` has each branch below its trunk, with where it leaves it.
    """
    states = look(folder)
    if not states and not output.as_json:
        output.note(f"There are no runs in {folder}.")
        return
    rows = list(in_families(states)) if tree else [(state, "") for state in states]
    output.result(
        json=lambda: (state.as_record() for state, _ in rows),
        plain=lambda: (before + plain_line(state) for state, before in rows),
        rich=lambda console: _print_table(rows, console),
    )


def look(folder: Path) -> list[RunState]:
    """Return the states of the runs in a folder, or of the one that it is. Raises UsageError if it is none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", "`clfctl train` makes runs; `runs_dir=` chose where")
    run = RunFolder(folder)
    return [state_of(run)] if run.config.is_file() else states_in(folder)


def _print_table(rows: Sequence[tuple[RunState, str]], console: "Console") -> None:
    from clfctl.display.runs_table import print_runs

    print_runs([state for state, _ in rows], console, [before for _, before in rows])


def plain_line(state: RunState) -> str:
    """Return a run as one line of words two blanks apart."""
    words = [state.path.name, *([from_words(state.trunk)] if state.trunk else []), state.state]
    if state.epoch is not None:
        words.append(progress_words(state))
    if state.best is not None:
        words.append(f"best {state.best_metric} {state.best:.4f} in epoch {state.best_epoch}")
    if state.lr is not None:
        words.append(f"lr {format_lr(state.lr)}")
    return "  ".join([*words, *([state.why] if state.why else [])])


def progress_words(state: RunState) -> str:
    """Return how far a run is: `3 of 8 epochs, 20 of 45 batches`."""
    batches = f", {state.batch} of {state.n_batches} batches" if state.batch else ""
    return f"{state.epoch} of {state.epochs} epochs{batches}"
