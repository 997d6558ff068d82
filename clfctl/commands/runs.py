"""clfctl runs: what runs there are and how they are doing. No torch."""

import sys
from pathlib import Path

from clfctl.display.curve import format_lr
from clfctl.display.notes import note
from clfctl.errors import UsageError
from clfctl.runs.folder import RunFolder
from clfctl.runs.state import RunState, state_of, states_in
from clfctl.settings.groups import OutputSettings
from clfctl.storage.json_lines import dump_json


def runs(folder: Path, output: OutputSettings) -> None:
    """Print the runs of a folder, or of a run folder the one: a table, plain lines to a file, or JSON lines."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "`clfctl train` makes runs; --runs-dir chose where")
    run = RunFolder(folder)
    states = [state_of(run)] if run.config.is_file() else states_in(folder)
    if output.json_lines:
        for state in states:
            print(dump_json(state.as_record()))
        return
    if not states:
        note(output, f"There are no runs in {folder}.")
    elif sys.stdout.isatty() and not output.quiet:
        from clfctl.display.runs_table import print_runs

        print_runs(states)
    elif not output.quiet:
        for state in states:
            print(plain_line(state))


def plain_line(state: RunState) -> str:
    """Return a run as one line of words two blanks apart."""
    words = [state.path.name, state.state]
    if state.epoch is not None:
        words.append(progress_words(state))
    if state.best is not None:
        words.append(f"best {state.monitor} {state.best:.4f} in epoch {state.best_epoch}")
    if state.lr is not None:
        words.append(f"lr {format_lr(state.lr)}")
    return "  ".join([*words, *([state.why] if state.why else [])])


def progress_words(state: RunState) -> str:
    """Return how far a run is: `3 of 8 epochs, 20 of 45 batches`."""
    batches = f", {state.batch} of {state.n_batches} batches" if state.batch else ""
    return f"{state.epoch} of {state.epochs} epochs{batches}"
