"""clfctl runs: what runs there are and how they are doing. No torch."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clfctl.display.curve import format_lr
from clfctl.display.output import Output
from clfctl.errors import ClfctlError, UsageError
from clfctl.runs.ensemble import find_ensembles, is_ensemble, read_ensemble
from clfctl.runs.family import from_words, in_families
from clfctl.runs.folder import RunFolder
from clfctl.runs.state import RunState, progress_words, state_of, states_in
from clfctl.settings.ensembles import IN_WORDS

if TYPE_CHECKING:
    from rich.console import Console


def runs(folder: Path, output: Output, *, tree: bool = False) -> None:
    """Print the runs of a folder, or of a run folder the one: a table, plain lines to a file, or JSON lines.

    A `tree` has each branch below its trunk, with where it leaves it.
    """
    if is_ensemble(folder):
        states, ensembles = [], [folder]
    else:
        states, ensembles = look(folder), find_ensembles(folder)
    if not states and not ensembles and not output.as_json:
        output.note(f"There are no runs in {folder}.")
        return
    rows = list(in_families(states)) if tree else [(state, "") for state in states]
    output.result(
        json=lambda: chain((state.as_record() for state, _ in rows), map(_ensemble_record, ensembles)),
        plain=lambda: chain((before + plain_line(state) for state, before in rows), map(_ensemble_line, ensembles)),
        rich=lambda console: _print_all(rows, ensembles, console),
    )


def look(folder: Path) -> list[RunState]:
    """Return the states of the runs in a folder, or of the one that it is. Raises UsageError if it is none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", "`clfctl train` makes runs; `runs_dir=` chose where")
    run = RunFolder(folder)
    return [state_of(run)] if run.config.is_file() else states_in(folder)


def _print_all(rows: Sequence[tuple[RunState, str]], ensembles: Sequence[Path], console: "Console") -> None:
    if rows:
        from clfctl.display.runs_table import print_runs

        print_runs([state for state, _ in rows], console, [before for _, before in rows])
    for each in ensembles:
        console.print(_ensemble_line(each), markup=False, highlight=False)


def _ensemble_line(path: Path) -> str:
    """Return an ensemble as one line of words two blanks apart."""
    record = _ensemble_record(path)
    if "why" in record:
        return "  ".join([path.name, "broken ensemble", record["why"]])
    members = ", ".join(f"{name} {share:.3f}" for name, share in record["members"].items())
    return "  ".join([path.name, "ensemble", f"{IN_WORDS[record['rule']]} of {members}"])


def _ensemble_record(path: Path) -> dict[str, Any]:
    try:
        found = read_ensemble(path)
    except ClfctlError as error:
        return {"name": path.name, "path": str(path), "state": "broken", "why": str(error)}
    members = {each.name: share for each, share in zip(found.members, found.shares, strict=True)}
    return {"name": path.name, "path": str(path), "state": "ensemble", "rule": found.rule, "members": members}


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
