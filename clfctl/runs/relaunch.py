"""Which run torchrun's earlier start of the same processes began, to go on with it."""

import json
from contextlib import suppress
from pathlib import Path

from clfctl.runs.folder import RunFolder, find_runs
from clfctl.settings.launch import launch
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json


def note_launch(run: RunFolder) -> None:
    """Write into a run which launch of several processes began it. Raises WriteError."""
    if launch().size > 1:
        write_text(run.launch, dump_json({"job": launch().job}) + "\n")


def run_to_go_on_with(runs_dir: Path) -> RunFolder | None:
    """Return the run that these processes began before torchrun started them anew; None: it is the first time."""
    if not launch().n_restarts:
        return None
    for path in find_runs(runs_dir):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(RunFolder(path).launch.read_text(encoding="utf-8"))["job"] == launch().job:
                return RunFolder(path)
    return None
