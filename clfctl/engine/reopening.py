"""A run as it stands, for what only looks at it: nothing of the run is locked, changed or put aside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import Parts, rebuild_parts
from clfctl.engine.data_change import data_change
from clfctl.engine.device import set_threads
from clfctl.engine.saving import saved_settings
from clfctl.engine.teacher import check_teacher
from clfctl.errors import DamagedError
from clfctl.planning.changes import change_settings
from clfctl.planning.place import place_of
from clfctl.runs.checkpoint import Checkpoint, load_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import last_or_previous
from clfctl.settings.sources import TYPED


def look_into(
    run: RunFolder,
    changes: Mapping[str, Any] | None = None,
    where: str = TYPED,
    *,
    file: Path | None = None,
    allow_data_change: bool = False,
) -> tuple[Parts, Checkpoint]:
    """Return the parts of a run as `resume` would have them, with `changes` of its settings, and its last checkpoint.

    `file` is another checkpoint of it that a run can go on from. torch computes with the run's threads from then on.
    Raises ClfctlError.
    """
    checkpoint = load_checkpoint(file) if file else last_or_previous(run.last, load_checkpoint, DamagedError)[0]
    settings = place_of(run, checkpoint.header).here(saved_settings(checkpoint)[0])
    settings, _ = change_settings(settings, changes or {}, where)
    data = open_data(settings, settings.seed)
    data_change(run, data, settings, checkpoint, is_allowed=allow_data_change)
    parts = rebuild_parts(settings, data, checkpoint)
    if "distill" not in (changes or {}):
        check_teacher(run, parts.lesson)
    set_threads(checkpoint.header.n_threads)
    return parts, checkpoint
