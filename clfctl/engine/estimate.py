"""What a training finds out by measuring when it begins, estimated before: how many epochs fit, which batch does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from clfctl.data.sources.base import Data
from clfctl.data.sources.open import open_data
from clfctl.data.sources.size import count_batches
from clfctl.engine.as_it_was import as_it_was
from clfctl.engine.assemble import Parts, build_parts
from clfctl.engine.batch_size_search import find_batch_size
from clfctl.engine.time_budget import fit_time
from clfctl.planning.preview.asked import Asked
from clfctl.planning.start import taken_over
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import Resolved

NOTE = "Note   what was measured is an estimate: training measures again when it begins"


def estimate(settings: TrainSettings, data: Data, tell: Callable[[str], None]) -> tuple[Parts, list[str]]:
    """Return the parts of a training with what was measured in its settings, and lines about that; nothing is kept."""
    with as_it_was(settings.device):
        parts, found = find_batch_size(build_parts(settings, data), tell)
        parts, fits = fit_time(parts, tell)
    chosen = [*found, *fits]
    return parts, [*chosen, NOTE] if chosen else []


def with_estimates(resolved: Resolved[TrainSettings], found: TrainSettings) -> Resolved[TrainSettings]:
    """Return the settings as they were given, with what was measured in the place of what was to be found out."""
    estimates: dict[str, Any] = {name: getattr(found, name) for name in ("epochs", "batch_size")}
    estimates = {name: value for name, value in estimates.items() if value != getattr(resolved.settings, name)}
    origins = {**resolved.origins, **dict.fromkeys(estimates, "estimate")}
    return replace(resolved, settings=resolved.settings.model_copy(update=estimates), origins=origins)


def measured(asked: Asked, tell: Callable[[str], None]) -> Asked:
    """Return what a preview is asked for, with the epochs and the batches of the training that it would be."""
    resolved = taken_over(asked.resolved)
    settings = resolved.settings.model_copy(update={"scheduler": asked.of_schedules[0]})
    data = open_data(settings, settings.seed, tell)
    parts, lines = estimate(settings, data, tell)
    n_batches = count_batches(len(data.train), parts.settings.batch_size, is_shuffled=True)
    n_batches = asked.n_batches if asked.are_stated and asked.n_batches else n_batches
    return replace(
        asked, resolved=with_estimates(resolved, parts.settings), n_batches=n_batches, notes=(*asked.notes, *lines)
    )
