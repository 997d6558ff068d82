"""A branch: what a run would come to if it stopped now, its rate falling over a few epochs, while it goes on itself."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clfctl.errors import CheckpointError, UsageError
from clfctl.planning.changes import change_settings
from clfctl.planning.extending import Standing, followed_by, lowest_of, obstacle
from clfctl.planning.plan import make_plan
from clfctl.runs.folder import RunFolder, check_new_run
from clfctl.runs.header import read_last
from clfctl.runs.kept import checkpoint_at
from clfctl.schedules.base import TOLERANCE, Span
from clfctl.schedules.cooldown import Anneal
from clfctl.schedules.durations import in_digits, parse_duration
from clfctl.schedules.writing import times
from clfctl.settings.branching import BranchSettings
from clfctl.settings.groups import TrainSettings
from clfctl.storage.files import reason_of

# What a branch does not take over: it ends with its fall, whatever the metric does, and keeps nothing on the way.
ENDING: dict[str, Any] = {"early_stopping": 0, "cooldown": 0, "soup": 0, "keep": "", "time": ""}


@dataclass(frozen=True)
class Start:
    """Where a branch begins, by a checkpoint of its trunk, and the folder that it is made in."""

    trunk: RunFolder
    checkpoint: Path
    runs_dir: Path
    options: BranchSettings

    @property
    def made_from(self) -> str:
        """What a branch is called that is given no name."""
        return f"{self.trunk.path.resolve().name}-branch"


def find_start(trunk: RunFolder, options: BranchSettings) -> Start:
    """Return where a branch begins, from headers alone. Raises UsageError if there is no such checkpoint or name."""
    checkpoint = checkpoint_at(trunk, options.at)
    runs_dir = options.runs_dir
    if runs_dir is None:
        runs_dir = (trunk.path if trunk.path.name not in ("", "..") else trunk.path.resolve()).parent
    check_new_run(runs_dir, options.run_name)
    try:
        read_last(checkpoint)
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise CheckpointError(f"{checkpoint} cannot be read: {reason}", "`at=` takes another that is kept") from None
    return Start(trunk, checkpoint, runs_dir, options)


def branched(saved: TrainSettings, at: Standing, start: Start) -> TrainSettings:
    """Return the settings of a branch from those of its trunk, saved where that stood `at`.

    The rate falls along a cooldown to the end of an epoch (Hägele et al. 2024, arXiv:2405.18392).
    Raises UsageError where it cannot fall.
    """
    if why := obstacle(saved, at, "anneal"):
        raise UsageError(f"the learning rate has nothing to fall from after {at.t:g} epochs: {why}", field="at")
    plan, options = make_plan(saved, at.n_batches), start.options
    length = parse_duration(options.cooldown).epochs(Span(1.0, 0.0, at.n_batches))
    end = math.ceil(at.t + length - TOLERANCE)
    stated = {name: value for name in ("data", "device") if (value := getattr(options, name)) is not None}
    changed, _ = change_settings(saved, stated)
    beside = plan.epochs - saved.epochs  # a warmup that is not part of the epochs
    own = {"epochs": max(1, end - beside), "run_name": options.run_name, "runs_dir": start.runs_dir}
    update: dict[str, Any] = {**ENDING, **own}
    if changed.unfreeze_at is not None and changed.unfreeze_at >= end:
        update["unfreeze_at"] = None
    lowest, share = lowest_of(plan, saved), at.last_lr / plan.base_lr
    floor = f"(eta_min={in_digits(lowest)})" if 0 < lowest < at.last_lr else ""
    tail = times(share, f"{Anneal.name}{floor}")
    return followed_by(saved, changed.model_copy(update=update), at, tail)
