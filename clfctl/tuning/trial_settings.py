"""The settings of a trial: those of its study, with what was drawn for it; and which spaces are impossible."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from clfctl.data.onlookers import no_line
from clfctl.data.sources.base import Data
from clfctl.data.sources.open import open_data
from clfctl.engine.check import check_with
from clfctl.errors import CheckpointError, UsageError
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.models.sources import source_of
from clfctl.models.timm_table import read_table
from clfctl.planning.plan import keep_fitting
from clfctl.planning.start import taken_over
from clfctl.probing.check import check_probe
from clfctl.settings.groups import ProbeSettings, TrainSettings, TuneSettings
from clfctl.settings.sources import Layer, Resolved, from_layers
from clfctl.settings.tracked import check_installed
from clfctl.tuning.folder import Record
from clfctl.tuning.sampling import check_sampler
from clfctl.tuning.space import Space, Value

Drawn = Mapping[str, Value]

SEARCH = "search"
# Of so many combinations all are looked at before the first trial.
N_LOOKED_AT = 200
_OF_STUDY = ("runs_dir", "run_name", "time")
_FOREIGN = ("hf-hub:", "hf_hub:", "local-dir:")


def names_in(stage: str) -> list[str]:
    """Return the settings that a trial of a stage has."""
    return [*(ProbeSettings if stage == "probe" else TrainSettings).model_fields]


def kind_of(settings: TuneSettings) -> str:
    """Return what is tuned: `probe`, `fine-tune` of first weights that are there, or `scratch`."""
    if settings.stage == "probe":
        return "probe"
    if settings.start_from or settings.weights:
        return "fine-tune"
    row = read_table()[1].get(settings.model.partition(".")[0])
    is_published = settings.model.startswith(_FOREIGN) or (row is not None and row.is_published)
    return "fine-tune" if is_published and settings.pretrained is not False else "scratch"


def training_of(record: Record, drawn: Drawn, place: Path | None = None, **more: Value) -> Resolved[TrainSettings]:
    """Return the settings of a training with what was drawn, in the folder `place` where one is given.

    A parameter of another schedule than the one that was drawn does not count. Raises UsageError for settings that do
    not go together, and CheckpointError for a run to start from that cannot be read.
    """
    return taken_over(keep_fitting(stated_of(record, drawn, place, **more)))


def stated_of(record: Record, drawn: Drawn, place: Path | None = None, **more: Value) -> Resolved[TrainSettings]:
    """Return the settings of a training as `training_of`, before any of them gives way. Raises UsageError."""
    return from_layers(TrainSettings, [*_layers(record, drawn, place, **more), Layer("study", {"export": False})])


def probe_of(record: Record, drawn: Drawn, place: Path | None = None, **more: Value) -> ProbeSettings:
    """Return the settings of a probe with what was drawn. Raises UsageError."""
    return from_layers(ProbeSettings, _layers(record, drawn, place, **more)).settings


def _layers(record: Record, drawn: Drawn, place: Path | None, **more: Value) -> list[Layer]:
    of_trial = {"runs_dir": place.parent, "run_name": place.name} if place else {}
    layers = [Layer("study", {**of_trial, **more})]
    # Stronger than the parameters of a schedule, so that those which the drawn one lacks give way.
    groups = [["scheduler"], [name for name in drawn if name != "scheduler"]]
    searched = [record.here({name: drawn[name] for name in names if name in drawn}) for names in groups]
    layers += [Layer(SEARCH, values) for values in searched if values]
    stated = (
        (each.label, record.here({name: value for name, value in each.values.items() if name not in _OF_STUDY}))
        for each in record.layers
    )
    return [*layers, *(Layer(*each) for each in stated)]


def check_study(record: Record, space: Space) -> None:
    """Check what a study is to search before it is begun. Raises ClfctlError: a value or a combination is impossible.

    A combination that is impossible among others that are not is left to its trial, which is pruned with the reason.
    """
    settings = record.settings
    if settings.stage == "probe" and METRICS[settings.monitor].part != "val":
        what = f"a probe has no {settings.monitor}: nothing is trained"
        raise UsageError(what, "use `monitor=val_loss` or `monitor=val_top1`", field="monitor")
    check_installed(settings.track)
    check_sampler(settings.sampler, space)
    for dimension in space:
        for value in dimension.samples:
            if settings.stage == "probe":
                probe_of(record, {dimension.name: value})
            else:
                stated_of(record, {dimension.name: value})
    if settings.stage == "probe":
        check_probe(probe_of(record, next(_combinations(space))), no_line)
        return
    _check_combinations(record, space)


def _combinations(space: Space) -> Iterator[dict[str, Value]]:
    """Yield combinations of the choices, and of both ends of ranges, the first ones first."""
    for values in itertools.product(*(each.samples for each in space)):
        yield dict(zip((each.name for each in space), values, strict=True))


def _check_combinations(record: Record, space: Space) -> None:
    """Raise the reason if every combination is impossible, or all of those with one of the choices.

    Where there are too many to look at all of them some are drawn, and only one reason that all of them have counts.
    """
    looked_at = list(itertools.islice(_combinations(space), N_LOOKED_AT + 1))
    is_whole = len(looked_at) <= N_LOOKED_AT
    looked_at = looked_at if is_whole else [*_spread(space)]
    reasons = [*_reasons(record, looked_at)]
    first = next(filter(None, reasons), None)
    if first and all(reasons) and (is_whole or len({str(each) for each in reasons}) == 1):
        raise first
    for dimension in space if is_whole else ():
        for value in dimension.choices:
            found = [why for drawn, why in zip(looked_at, reasons, strict=True) if drawn[dimension.name] == value]
            if (why := found[0]) and all(found):
                hint = f"leave {value} out of `search={dimension}`"
                raise UsageError(f"{dimension.name} {value} is impossible: {why.message}", hint, field="search")


def _spread(space: Space) -> Iterator[dict[str, Value]]:
    """Yield combinations from all over a space that is too large to be gone through, each choice once at least."""
    draw = random.Random(0)
    for number in range(N_LOOKED_AT):
        yield {
            each.name: each.samples[number] if number < len(each.samples) else draw.choice(each.samples)
            for each in space
        }


def _reasons(record: Record, every: Sequence[Drawn]) -> Iterator[UsageError | CheckpointError | None]:
    """Yield why each of some combinations is impossible, None for one that is not."""
    data: Data | None = None
    for drawn in every:
        try:
            settings = training_of(record, drawn).settings
            source_of(settings.model)
            data = data or open_data(settings, settings.seed)
            check_with(settings, data)
            yield None
        except (UsageError, CheckpointError) as error:
            yield error
