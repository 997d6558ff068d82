"""What a training takes over from the run that it starts from, known before torch is imported."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clfctl.errors import CheckpointError, UsageError
from clfctl.runs.folder import CHECKPOINT_SUFFIX, open_run, run_of
from clfctl.runs.header import Header, read_header
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import Resolved
from clfctl.storage.files import reason_of

# Settings that say what a model sees: those of the run count unless others are stated.
SEEN = ("image_size", "fit", "interpolation")
# Other places that first weights come from.
OTHERS = ("weights", "pretrained")


def start_file(start: Path) -> Path:
    """Return the checkpoint that a run folder or a file stands for. Raises UsageError if it is neither."""
    if start.is_file():
        if start.suffix != CHECKPOINT_SUFFIX:
            hint = f"give a run folder or its checkpoint; for weights of other trainers there is `weights={start}`"
            raise UsageError(f"{start} is not a checkpoint of clfctl", hint, field="start_from")
        return start
    try:
        return open_run(start).chosen
    except UsageError as error:
        raise UsageError(error.message, error.hint, field="start_from") from None


def taken_over(resolved: Resolved[TrainSettings]) -> Resolved[TrainSettings]:
    """Return the settings with the model and what it sees of the run that the training starts from, if it starts so.

    Of several places that first weights come from the one of the strongest source counts. Raises UsageError where one
    source states two, or another model than that of the run, CheckpointError if its header cannot be read.
    """
    resolved = _with_one_beginning(resolved)
    start = resolved.settings.start_from
    if start is None:
        return resolved
    file = start_file(start)
    header = _header(file)
    rank, update = resolved.ranks["start_from"], dict[str, Any]()
    if resolved.ranks["model"] > rank:
        update["model"] = header.model
    elif not _is_same(resolved.settings.model, header.model):
        hint = f"leave out `model=`, or train {resolved.settings.model} from its own first weights"
        raise UsageError(f"the model of {start} is {header.model}, not {resolved.settings.model}", hint, field="model")
    seen = {name: header.preprocess[name] for name in SEEN if name in header.preprocess}
    if run_of(file.absolute()).probe.is_file():
        # Its classifier was fitted to features that batch normalization makes with the statistics that it has.
        seen["freeze_batch_norm"] = True
    update |= {name: value for name, value in seen.items() if not resolved.is_stated(name)}
    try:
        return _changed(resolved, update, str(start), rank)
    except ValidationError:
        raise CheckpointError(f"{file} does not say what its model was trained to see", field="start_from") from None


def _with_one_beginning(resolved: Resolved[TrainSettings]) -> Resolved[TrainSettings]:
    """Return the settings with at most one place that first weights come from: that of the strongest source."""
    settings, ranks = resolved.settings, resolved.ranks
    for name in OTHERS:
        if not settings.start_from or not getattr(settings, name):
            continue
        if ranks[name] == ranks["start_from"]:
            hint = f"leave out one of `start_from=` and `{name}=`"
            other = f"`weights={settings.weights}`" if name == "weights" else "`pretrained=True`"
            what = f"a training starts from one place, and both {settings.start_from} and {other} are stated"
            raise UsageError(what, hint, field="start_from")
        weaker = max(name, "start_from", key=lambda each: ranks[each])
        resolved = _changed(resolved, {weaker: None}, resolved.origins[weaker], ranks[weaker])
        settings = resolved.settings
    return resolved


def _changed(
    resolved: Resolved[TrainSettings], update: Mapping[str, Any], origin: str, rank: int
) -> Resolved[TrainSettings]:
    settings = TrainSettings.model_validate(resolved.settings.model_dump(exclude_unset=True) | {**update})
    origins = {**resolved.origins, **dict.fromkeys(update, origin)}
    return replace(
        resolved, settings=settings, origins=origins, ranks={**resolved.ranks, **dict.fromkeys(update, rank)}
    )


def _header(file: Path) -> Header:
    try:
        return read_header(file)
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        hint = "weights of other trainers are read with `weights=FILE`"
        raise CheckpointError(f"{file} cannot be read: {reason}", hint, field="start_from") from None


def _is_same(stated: str, model: str) -> bool:
    """Return whether two names are of one architecture: what follows the point says which published weights."""
    return stated == model or (":" not in stated and stated.partition(".")[0] == model.partition(".")[0])
