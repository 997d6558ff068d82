"""What a preview is asked for: the settings of a training, and the schedules and runs to show under them.

The words are those of `train`: whatever touches the curve does so here.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clfctl.data.sources.batches import images_to_train
from clfctl.data.sources.names import DIGITS, is_named
from clfctl.data.sources.size import count_batches, fit_batch_size
from clfctl.errors import DataError, UsageError
from clfctl.planning.foreign import is_foreign
from clfctl.planning.plan import keep_fitting
from clfctl.planning.preview.parameter import GROUP, Group, quantity_of
from clfctl.planning.quantities import Quantity
from clfctl.planning.time_limit import within_time
from clfctl.schedules import Recorded, parse_expression
from clfctl.settings.groups import PlanSettings, TrainSettings
from clfctl.settings.optimization import MAX_EPOCHS
from clfctl.settings.sources import DEFAULT, Resolved
from clfctl.settings.words import value_in_words

# What only a training can find out, by measuring when it begins.
MEASURED = ("time", "find_batch_size")


@dataclass(frozen=True)
class Asked:
    """Subjects and what they are shown under.

    `texts` are expressions and `folders` runs, as they were typed; with neither it is the schedule of the settings.
    `metrics` is what a schedule that follows a metric gets, None: not known. `n_batches` of an epoch are None where
    nothing says how many there are; `are_stated` is whether the user did. `parameter` is what is drawn, `groups` are
    the param groups of the model where these are. `notes` are sentences,
    `extend` the one way in which a run that is made longer goes on, "": all of them are shown.
    """

    resolved: Resolved[TrainSettings]
    texts: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    metrics: Sequence[float] | None = None
    n_batches: int | None = None
    are_stated: bool = False
    notes: tuple[str, ...] = ()
    parameter: str = "lr"
    groups: tuple[Group, ...] = ()
    extend: str = ""

    @property
    def quantity(self) -> Quantity:
        """The value that is drawn."""
        return quantity_of(self.parameter)

    @property
    def needs_groups(self) -> bool:
        """Whether the model's param groups are still to be found out."""
        return self.parameter == GROUP and bool(self.of_schedules) and not self.groups

    @property
    def settings(self) -> TrainSettings:
        """The settings."""
        return self.resolved.settings

    @property
    def of_schedules(self) -> tuple[str, ...]:
        """The expressions to show, empty if runs alone are."""
        return self.texts or (() if self.folders else (self.settings.scheduler,))

    def own_length(self, text: str) -> int:
        """Return the epochs that an expression is shown for where it or the metrics say, 0 where the settings do.

        These do with data, or where it was typed as for `train`: then it is part of a training.
        """
        if is_foreign(text):
            return 0
        is_alone = (self.texts or self.metrics) and not any(map(self.resolved.is_stated, ("epochs", "data")))
        if not is_alone:
            return 0
        return len(self.metrics) if self.metrics else _natural_length(self.settings, text)

    def settings_of(self, text: str) -> TrainSettings:
        """Return the settings that an expression is shown under."""
        epochs = self.own_length(text)
        return self.settings.model_copy(update={"epochs": epochs}) if epochs else self.settings

    @property
    def is_measured(self) -> bool:
        """Whether something about the curves is still to be measured, as a training does when it begins."""
        return bool(self.of_schedules) and any(getattr(self.settings, name) for name in MEASURED)


def ask(
    resolved: Resolved[TrainSettings],
    subjects: Sequence[str] = (),
    metrics: str | Sequence[float] = "",
    steps_per_epoch: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
    parameter: str = "lr",
) -> Asked:
    """Return what is asked for, with the batches that an epoch has on the data; `tell` takes a line of what takes long.

    `metrics` are numbers, or where they are (see `read_metrics`). Raises UsageError for what does not go together,
    DataError for data that cannot be trained on.
    """
    quantity_of(parameter)
    folders = tuple(each for each in subjects if is_folder(each) and not is_foreign(each))
    texts = tuple(each for each in subjects if each not in folders)
    if texts and resolved.ranks["scheduler"] == 0:
        hint = "give each as an argument"
        raise UsageError(f"{texts[0]!r} is given as a schedule already", hint, field="scheduler")
    known = _known(metrics, resolved.settings.monitor)
    if folders and known is not None:
        hint = "give them with a schedule, not with a run"
        raise UsageError(f"{folders[0]} has metrics of its own", hint, field="metrics")
    are_stated = bool(steps_per_epoch)
    asked = Asked(resolved, texts, folders, known, steps_per_epoch, are_stated=are_stated, parameter=parameter)
    if folders and not texts:
        return asked
    ours = tuple(each for each in texts if not is_foreign(each))
    fitting = keep_fitting(resolved, ours) if ours or not texts else resolved
    asked = replace(asked, resolved=within_time(fitting))
    return asked if steps_per_epoch else _counted(asked, tell)


def _known(metrics: str | Sequence[float], monitor: str) -> Sequence[float] | None:
    if not metrics:
        return None
    if not isinstance(metrics, str):
        return metrics if isinstance(metrics, Recorded) else tuple(metrics)
    from clfctl.planning.preview.metrics import read_metrics  # it can read runs

    return read_metrics(metrics, monitor)


def is_folder(subject: str) -> bool:
    """Return whether a subject is meant as a run folder: it is one, or looks like a path."""
    return (bool(subject) and Path(subject).exists()) or ("/" in subject and "(" not in subject and ">" not in subject)


def _counted(asked: Asked, tell: Callable[[str], None]) -> Asked:
    """Return it with the batches of an epoch, where they can be known without a download."""
    settings = asked.settings
    try:
        n_images = images_to_train(settings, settings.seed, tell)
    except DataError as error:
        if not is_named(settings.data, settings.data_dir) or settings.data == DIGITS:
            raise
        what = f"Note: {error.message}, so how many batches an epoch has is not known; `steps_per_epoch=N` says it"
        return replace(asked, notes=(*asked.notes, what))
    fitted = fit_batch_size(settings, n_images)  # it may decide the rate
    n_batches = count_batches(n_images, fitted.batch_size, is_shuffled=True)
    return replace(asked, resolved=replace(asked.resolved, settings=fitted), n_batches=n_batches)


def about_defaults(asked: Asked) -> Iterator[str]:
    """Yield a line on what is shown where no data is stated: the defaults of the data that `train` takes then."""
    resolved, settings = asked.resolved, asked.settings
    if resolved.is_stated("data") or not asked.of_schedules:
        return
    if asked.texts and all(map(is_foreign, asked.texts)):
        # They say the rest themselves.
        if not asked.are_stated:
            yield f"Note: no data is stated: an epoch has {asked.n_batches} batches, as that of {settings.data}."
        return
    of_data = [name for name in PlanSettings.model_fields if resolved.origins[name] == f"{DEFAULT} for {settings.data}"]
    shown = {name: getattr(settings, name) for name in of_data if getattr(settings, name) is not None}
    lengths = [asked.own_length(text) for text in asked.of_schedules]
    epochs = shown["epochs"] if all(lengths) and "epochs" in shown else 0
    if epochs:
        del shown["epochs"]
    words = [f"`{name}={value_in_words(value)}`" for name, value in shown.items()]
    if not asked.are_stated:
        words.append(f"{asked.n_batches} batches an epoch")
    if words:
        own = f"; a training has `epochs={epochs}`, here the length is the schedule's own" if epochs else ""
        yield f"Note: no data is stated, so these are the defaults of {settings.data}: {', '.join(words)}{own}."


def _natural_length(settings: PlanSettings, text: str) -> int:
    """Return the epochs that a schedule needs to come to its end, where it says so; else 0."""
    expression = parse_expression(text)
    lengths = [call.length for call in expression.calls]
    if all(each and each.unit == "epochs" for each in lengths):
        return math.ceil(min(sum(each.value for each in lengths if each), MAX_EPOCHS + 1))
    if not expression.kind:
        return 0
    stated = expression.calls[0].arguments.get("t_max") or settings.model_dump().get("t_max")
    return math.ceil(min(stated or 0, MAX_EPOCHS + 1))
