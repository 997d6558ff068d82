"""A branch of a run, from Python: what would it come to if it stopped now?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clfctl.api import Trained, to_the_end
from clfctl.api.notes import Notes
from clfctl.planning.branching import find_start
from clfctl.runs.folder import RunFolder, open_run
from clfctl.settings.branching import BranchSettings
from clfctl.settings.sources import from_fields

if TYPE_CHECKING:
    from clfctl.data.onlookers import Onlookers
    from clfctl.engine.session import Session
    from clfctl.engine.watching import Watcher


def branch(
    run: Path | str,
    *,
    at: int | None = None,
    cooldown: float | str | None = None,
    allow_data_change: bool = False,
    watchers: Sequence["Watcher"] = (),
    stop_signals: bool = False,
    **fields: Any,
) -> Trained:
    """Train a new run from a checkpoint of another, its learning rate falling over `cooldown` epochs (3 unless given).

    What would the run come to if it stopped now? It may go on meanwhile: its folder is only read. `at` is the epoch
    whose checkpoint it begins with, one that was kept (`keep="every 5"`); without it, the last. `fields` are
    `run_name=`, `runs_dir=`, `data=` and `device=`.
    """
    notes = Notes()
    options = from_fields(BranchSettings, {"at": at, "cooldown": cooldown, **fields}).settings
    with begin_branch(open_run(Path(run)), options, notes.onlookers(), allow_data_change=allow_data_change) as session:
        notes.lines += [*session.warnings, *session.cautions()]
        return to_the_end(session, watchers, notes, stop_signals=stop_signals)


@contextmanager
def begin_branch(
    trunk: RunFolder, options: BranchSettings, to: "Onlookers", *, allow_data_change: bool
) -> Iterator["Session"]:
    """Check all that needs no torch, make the branch, and yield its training; see `engine.branch.branch`."""
    start = find_start(trunk, options)
    from clfctl.engine import branch as of_engine
    from clfctl.engine.as_it_was import as_it_was

    with (
        as_it_was(options.device or "auto"),
        of_engine.branch(start, to, allow_data_change=allow_data_change) as session,
    ):
        yield session
