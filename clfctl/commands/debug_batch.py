"""clfctl debug-batch: the batch whose loss was not finite, computed again."""

from pathlib import Path

from clfctl import api
from clfctl.display.bad_batch import as_json, print_replay
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once
from clfctl.runs.bad_batch import BadBatch
from clfctl.runs.folder import open_run


def debug_batch(path: Path, output: Output, *, exact: bool) -> None:
    """Compute the bad batch of a run again, and show what came of it; nothing of the run is changed."""
    run = open_run(path)
    BadBatch.read(run)  # before torch is imported
    with stopping_at_once("the run is as it was"):
        found = api.debug_batch(run, output.onlookers(), exact=exact)
    output.result(
        json=lambda: [as_json(found)],
        rich=lambda console: print_replay(console, found, output.spelled),
    )
