"""The library's face of a range test; see `clfctl.api`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clfctl.api.notes import Notes
from clfctl.errors import CheckpointError, UsageError
from clfctl.finding.found import RateFinding, rounded
from clfctl.finding.sweep import MOST_REPEATS, Extent
from clfctl.finding.usual import END_LR, N_REPEATS, N_STEPS, START_LR
from clfctl.planning.changes import change_settings, stated_in
from clfctl.planning.plan import Plan, keep_fitting
from clfctl.planning.start import taken_over
from clfctl.runs.folder import CHECKPOINT_SUFFIX, RunFolder, open_run
from clfctl.runs.header import Header, read_header
from clfctl.settings.groups import ResumeSettings, TrainSettings
from clfctl.settings.older import read_older
from clfctl.settings.sources import PASSED, Resolved, from_fields
from clfctl.storage.files import reason_of
from clfctl.storage.names import shell

if TYPE_CHECKING:
    from clfctl.data.onlookers import Onlookers

Tell = Callable[[str], None]

# What of a training has no bearing on the rate, and could refuse a test of it.
WITHOUT: dict[str, Any] = {"run_name": "", "time": "", "strict": False, "find_lr": False}


def find_lr(
    run: Path | str | None = None,
    *,
    start_lr: float = START_LR,
    end_lr: float = END_LR,
    steps: int = N_STEPS,
    repeats: int = N_REPEATS,
    **fields: Any,
) -> RateFinding:
    """Find a learning rate by a range test (Smith 2015): real steps at rising rates, until the loss explodes.

    `fields` are settings by name, as for `train`: it is their training that is tested, on copies, so that no weights
    and no random state are changed. `run` is a run folder, or one of its checkpoints: what is tested is how it would go
    on, with `fields` in place of its own settings. Each of `repeats` sweeps goes in `steps` steps from `start_lr` to
    `end_lr`, over other batches.
    """
    notes = Notes()
    extent = checked(start_lr, end_lr, steps, repeats)
    if run is None:
        found = find_of_training(from_fields(TrainSettings, fields), extent, repeats, notes.onlookers(), _nobody)
    else:
        stated = stated_in(from_fields(ResumeSettings, fields))
        found = find_of_run(Path(run), stated, PASSED, extent, repeats, notes.onlookers(), _nobody)
    return replace(found, notes=(*notes.lines, *found.notes))


def _nobody(line: str) -> None:
    """Take the place of those who are told what is tested."""


def checked(start_lr: float, end_lr: float, steps: int, repeats: int) -> Extent:
    """Return how far a sweep goes. Raises UsageError for what is not allowed."""
    if not 1 <= repeats <= MOST_REPEATS:
        raise UsageError(f"{repeats} is not allowed; it must be 1 to {MOST_REPEATS}", field="repeats")
    return Extent(start_lr, end_lr, steps)


def find_of_training(
    resolved: Resolved[TrainSettings], extent: Extent, repeats: int, to: "Onlookers", about: Tell
) -> RateFinding:
    """Test the rates of a training that would begin with these settings, told of in lines; see `find_lr`."""
    from clfctl.engine.check import check_training

    settings = taken_over(keep_fitting(resolved)).settings.model_copy(update=WITHOUT)
    data, _ = check_training(settings, to.tell)
    from clfctl.engine.as_it_was import as_it_was
    from clfctl.engine.assemble import build_parts
    from clfctl.engine.batch_size_search import find_batch_size
    from clfctl.engine.describe import describe_parts
    from clfctl.engine.rate_search import Search, sweep_rates

    with as_it_was(settings.device):
        parts, lines = find_batch_size(build_parts(settings, data), to.tell)
        for line in (*describe_parts(parts), *lines):
            about(line)
        return sweep_rates(parts, Search(extent, repeats), to)


def find_of_run(
    path: Path,
    stated: Mapping[str, Any],
    where: str,
    extent: Extent,
    repeats: int,
    to: "Onlookers",
    about: Tell,
) -> RateFinding:
    """Test the rates that a run would go on with, with the stated settings in place of its own; see `find_lr`.

    A checkpoint of weights alone, such as the best one, is tested as the beginning of a new training.
    """
    run = open_run(path)
    file = path if path.is_file() and path.suffix == CHECKPOINT_SUFFIX else run.last if run.last.is_file() else run.best
    header: Header | None
    try:
        header = read_header(file)
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        # Of the last one there is a predecessor.
        header = None
        if file != run.last:
            raise CheckpointError(f"{file} cannot be read: {reason}") from None
    if header and header.resumption is None:
        to.tell(f"Note   {file} has weights alone: what is tested is a new training that starts from them")
        return find_of_training(_starting_from(run, file, header, stated, where), extent, repeats, to, about)
    from clfctl.engine.as_it_was import as_it_was
    from clfctl.engine.assemble import plan_of
    from clfctl.engine.describe import describe_parts
    from clfctl.engine.rate_search import Search, sweep_rates
    from clfctl.engine.reopening import look_into

    with as_it_was(stated.get("device", "auto")):
        other = None if file == run.last else file
        parts, checkpoint = look_into(run, stated, where, file=other, allow_data_change=True)
        for line in describe_parts(parts):
            about(line)
        found = sweep_rates(parts, Search(extent, repeats), to, checkpoint=checkpoint)
        note = _about_going_on(found, run, plan_of(parts), parts.settings, checkpoint.header)
        return replace(found, notes=(*found.notes, note))


def _starting_from(
    run: RunFolder, file: Path, header: Header, stated: Mapping[str, Any], where: str
) -> Resolved[TrainSettings]:
    """Return the settings of a training that is as the run was, and starts from one of its checkpoints."""
    from clfctl.planning.place import place_of

    saved = place_of(run, header).here(read_older(header.settings, file)[0])
    settings, _ = change_settings(saved, stated, where)
    fields = settings.model_dump(exclude={"weights", "pretrained", "start_from"})
    return from_fields(TrainSettings, {**fields, "start_from": file})


def _about_going_on(found: RateFinding, run: RunFolder, plan: Plan, settings: TrainSettings, header: Header) -> str:
    """Return how the rate that was found stands to what the run is planned to go on with."""
    epoch = header.going_on().position.epoch
    metrics = tuple(each.metric(settings.monitor) for each in header.history)
    if epoch >= plan.last_epoch(metrics):
        return f"the run has its {epoch} epochs: this is how it would go on with more `epochs=`"
    coming = plan.lr(epoch, metrics)
    share = coming / settings.lr
    planned = f"epoch {epoch + 1} of the run begins at {coming:.2g} as it is planned, {share:.2g} times its `lr=`"
    if not share or found.lr is None:
        return planned
    return f"{planned}; at {found.lr:g} with {shell('resume', run.path)} `lr={rounded(found.lr / share):g}`"
