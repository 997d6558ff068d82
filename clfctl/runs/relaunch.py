"""Which run torchrun's earlier start of the same processes began, to go on with it."""

import json
import secrets
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path

from clfctl.runs.folder import RunFolder, find_runs
from clfctl.settings.launch import launch
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json

# What the name of a launch is called in torchrun's store, and how long that is waited for.
_NAME, _WAIT_S = "clfctl/launch", 60


def note_launch(run: RunFolder) -> None:
    """Write into a run which of torchrun's launches began or changed it. Raises WriteError."""
    if launch().job:
        write_text(run.launch, dump_json({"job": _name()}) + "\n")


def run_to_go_on_with(runs_dir: Path) -> RunFolder | None:
    """Return the run that these processes began before torchrun started them anew; None: it is the first time."""
    if not launch().n_restarts:
        return None
    return next((run for run in map(RunFolder, find_runs(runs_dir)) if is_of_this_launch(run)), None)


def is_of_this_launch(run: RunFolder) -> bool:
    """Return whether these processes began or changed a run before torchrun started them anew."""
    if not launch().n_restarts:
        return False
    with suppress(OSError, ValueError, KeyError, TypeError):
        return bool(json.loads(run.launch.read_text(encoding="utf-8"))["job"] == _name())
    return False


@cache
def _name() -> str:
    """Return what is the same in all restarts of a launch and in no other, on whichever machines they are.

    An id that the user gives, or torchrun's default, is that of the next launch too: the first process that asks puts a
    name into torchrun's own store. Where it has none, the agent that started this process is what stays.
    """
    one = launch()
    if not one.store:
        return one.job
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # torch's list lacks it

    with suppress(RuntimeError):  # the agent that keeps it has gone
        store = TCPStore(*one.store, is_master=False, wait_for_workers=False, timeout=timedelta(seconds=_WAIT_S))
        return str(store.compare_set(_NAME, "", secrets.token_hex(8)).decode())
    return one.job
