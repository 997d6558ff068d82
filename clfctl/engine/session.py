"""A training from its run folder to its end: begun, or reopened where it was stopped, and then trained."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from clfctl.data.cache.make import Sources, cached_sources
from clfctl.data.onlookers import Onlookers
from clfctl.data.sources.base import Data, Part
from clfctl.data.sources.fingerprint import DataChange, list_images, write_listing
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import Parts, build_parts, make_trainer, rebuild_parts
from clfctl.engine.batch_size_search import find_batch_size
from clfctl.engine.check import METRIC_FIELDS, check_metrics, check_unfreezing
from clfctl.engine.compiling import compile_if_it_pays
from clfctl.engine.data_change import data_change
from clfctl.engine.describe import describe_loader, describe_parts, warnings_of
from clfctl.engine.device import set_threads
from clfctl.engine.environment import environment
from clfctl.engine.optimizer_state import kept_decay
from clfctl.engine.rate_search import find_rate
from clfctl.engine.read_features import read_features
from clfctl.engine.run_files import BadImagesFile, HistoryFile, WindowsFile
from clfctl.engine.saving import saved_settings, windows_in
from clfctl.engine.soup import cook
from clfctl.engine.teacher import check_teacher, record_teacher
from clfctl.engine.time_budget import fit_time
from clfctl.engine.trainer import Trainer
from clfctl.engine.watching import Training, Watcher, Watchers
from clfctl.errors import UsageError
from clfctl.models.timm_models import lasting_name
from clfctl.planning.changes import NEW_BATCHES, Change, change_settings, changes_between, changes_record
from clfctl.planning.extending import extend, standing_of
from clfctl.planning.place import place_of
from clfctl.planning.plan import Plan, make_plan, refuse_cautions
from clfctl.runs.best import gone_best, put_later_best_aside
from clfctl.runs.checkpoint import load_last
from clfctl.runs.folder import RunFolder, create_run, discard_run
from clfctl.runs.history import EpochResult, check_measured
from clfctl.runs.kept import put_later_kept_aside
from clfctl.runs.state import held
from clfctl.schedules import sample_curve
from clfctl.settings.dump import saved_config
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import TYPED
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json, write_json_lines


@dataclass(frozen=True)
class Reopened:
    """How a run goes on: what was changed, under which plan it trained until then, and with which rate at the last.

    `extension` says in a line how the rate goes on in a run that was made longer.
    """

    old_plan: Plan
    last_lr: float
    changes: Sequence[Change]
    data_change: DataChange
    restarts_epoch: bool
    extension: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether settings or images are not those that the run had."""
        return bool(self.changes or self.data_change)


@dataclass(frozen=True)
class Session:
    """A training that holds its run's lock. `warnings` are sentences; `reopened` is None for a run that is new.

    `chosen` are lines about settings that were chosen by what was measured when it was begun.
    """

    run: RunFolder
    parts: Parts
    trainer: Trainer
    warnings: Sequence[str] = ()
    reopened: Reopened | None = None
    chosen: Sequence[str] = ()

    def description(self) -> list[str]:
        """Return what is trained where, a line each."""
        if not self.reopened:
            described = [*describe_parts(self.parts), *self.chosen, *describe_loader(self.trainer)]
            return [*described, f"Run    {self.run.path}"]
        cursor, n_batches = self.trainer.state.cursor, self.trainer.train_loader.n_batches
        batch = f"batch {cursor.batch + 1} of {n_batches}" if cursor.batch < n_batches else "its validation"
        where = f"from epoch {cursor.epoch + 1}, {batch}"
        if self.reopened.restarts_epoch:
            where = f"from the start of epoch {cursor.epoch + 1}, because its batches have changed"
        return [*self.warnings, *describe_parts(self.parts), f"Run    {self.run.path}, {where}"]

    def cautions(self) -> list[str]:
        """Return what about the learning rate is most likely a mistake, a line each."""
        return warnings_of(self.trainer.plan)

    def keep_changes(self, to: Onlookers) -> None:
        """Make the cache that a reopened run reads from, then record what was changed, before it is trained with."""
        if not self.trainer.is_finished():
            # First: a cache for which there is no room is not asked for again at the next resume.
            settings, data = self.parts.settings, self.parts.data
            sources = cached_sources(settings, data, self.parts.built.preprocess, to)
            self.trainer.read_from(sources.train, sources.val)
            compile_if_it_pays(self.trainer, to.tell)
        if self.reopened and self.reopened.is_changed:
            if aside := put_later_best_aside(self.run, self.trainer.state.cursor.epoch):
                to.tell(aside)
            put_later_kept_aside(self.run, self.trainer.state.cursor.epoch, to.tell)
            _keep(self.run, self.trainer, self.parts.data, self.reopened)
        if self.reopened:
            # Stated again, a teacher may have the same name and other weights.
            record_teacher(self.run, self.parts.lesson)

    def train(self, watchers: Sequence[Watcher], to: Onlookers) -> None:
        """Train to the end, in front of the watchers; history and bad images are written, whatever the end is.

        Raises what the trainer raises, and OSError or WriteError where the history cannot be written.
        """
        read_features(self.trainer, self.parts.data, to)
        everyone = self._everyone(watchers, to)
        self.trainer.on_steps = everyone.step
        try:
            everyone.start(self._training())
            for result in self.trainer.epochs():
                everyone.epoch(result)
            cook(self.trainer, to.tell)
        except BaseException as error:
            everyone.end(error)
            raise
        everyone.end(None)

    def complete(self, watchers: Sequence[Watcher], to: Onlookers) -> None:
        """Let the watchers write what a finished run lacks because it was stopped after its last save."""
        everyone = self._everyone(watchers, to)
        everyone.start(self._training())
        cook(self.trainer, to.tell)
        everyone.end(None)

    def best(self) -> EpochResult | None:
        """Return the epoch whose weights the best checkpoint has."""
        return self.trainer.best()

    def held_out(self) -> Part:
        """Return the validation images, or those of training where there are none."""
        return self.trainer.val_loader.part or self.trainer.train_loader.part

    def _everyone(self, watchers: Sequence[Watcher], to: Onlookers) -> Watchers:
        return Watchers([HistoryFile(), WindowsFile(), *watchers, BadImagesFile(to.tell)], to.tell)

    def _training(self) -> Training:
        trainer = self.trainer
        cursor, bad = trainer.state.cursor, trainer.train_loader.bad_images.found
        history = tuple(cursor.history)
        return Training(self.run, trainer.plan, history, trainer.progress, self._curve, bad, cursor.windows)

    def _curve(self) -> list[tuple[float, float]]:
        plan, metrics = self.trainer.plan, self.trainer.metrics()
        return sample_curve(plan.schedule, plan.base_lr, plan.last_epoch(metrics), metrics)


@contextmanager
def begin(settings: TrainSettings, data: Data, to: Onlookers) -> Iterator[Session]:
    """Build everything, make the run folder, and yield the training; the run's lock is held until the end.

    The folder is made when everything that can be checked before is checked. Raises ClfctlError.
    """
    started = time.perf_counter()
    parts = build_parts(settings.model_copy(update={"model": lasting_name(settings.model)}), data)
    parts, found = find_batch_size(parts, to.tell)
    sources = cached_sources(settings, data, parts.built.preprocess, to)
    parts, rate = find_rate(parts, to, sources)
    parts, fits = fit_time(parts, to.tell, sources, time.perf_counter() - started)
    run = create_run(settings.runs_dir, settings.run_name, settings.model)
    with held(run):
        trainer = first_state(run, parts, sources)
        if parts.settings.compile:
            compile_if_it_pays(trainer, to.tell)
            trainer.save_last()  # what was decided is kept to
        yield Session(run, parts, trainer, chosen=[*found, *rate, *fits])


@contextmanager
def reopen(
    run: RunFolder, stated: Mapping[str, Any], where: str = TYPED, *, allow_data_change: bool
) -> Iterator[Session]:
    """Yield the training of a run as it was saved, with the stated settings in place of its own; nothing is kept yet.

    `where` they are stated is in the messages. The run's lock is held until the end. Raises ClfctlError.
    """
    with held(run):
        checkpoint, warning = load_last(run.last)
        place = place_of(run, checkpoint.header)
        saved, left_out = saved_settings(checkpoint)
        saved = place.here(saved)
        settings, changes = change_settings(saved, stated, where)
        chosen = [name for name in METRIC_FIELDS if getattr(settings, name) != getattr(saved, name)]
        for name in chosen:
            check_measured(checkpoint.header.history, getattr(settings, name), name)
        whose = nullcontext() if "data" in stated else place.explaining(run, settings, "resume")
        with whose:
            data = open_data(settings, settings.seed)
        check_metrics(settings, len(data.val), len(data.classes), chosen)
        change = data_change(run, data, settings, checkpoint, is_allowed=allow_data_change)
        # The batches that were trained cannot be counted among those of an epoch that is cut in another way.
        is_other = bool(change) or any(each.name in NEW_BATCHES for each in changes)
        # Asked first: a checkpoint that no run can go on from is refused here.
        restarts = bool(checkpoint.resumption.position.batch) and is_other
        standing = standing_of(checkpoint.header, settings.monitor, windows_in(checkpoint), restarts_epoch=restarts)
        extension = extend(saved, settings, stated, standing, str(stated.get("extend", "")))
        settings, changes = extension.settings, changes_between(saved, extension.settings)
        parts = rebuild_parts(settings, data, checkpoint)
        if "distill" not in stated:
            check_teacher(run, parts.lesson)
        trainer = make_trainer(parts, run, checkpoint, restarts_epoch=restarts)
        _check_epochs(trainer)
        check_unfreezing(settings, trainer.plan)
        refuse_cautions(settings, trainer.plan)
        told = (warning, *left_out, set_threads(checkpoint.header.n_threads), kept_decay(saved, checkpoint))
        warnings = [each for each in (*told, _gone(trainer, trainer.best())) if each]
        old_plan = make_plan(saved, standing.n_batches)
        reopened = Reopened(old_plan, standing.last_lr, changes, change, restarts, extension.line)
        yield Session(run, parts, trainer, warnings, reopened)


def _check_epochs(trainer: Trainer) -> None:
    """Raise UsageError if more epochs are trained than are planned: they cannot be taken back."""
    trained, planned = trainer.state.cursor.epoch, trainer.plan.epochs
    if trained > planned:
        hint = f"`epochs={trainer.state.settings.epochs + trained - planned}` ends it here, more trains on"
        raise UsageError(f"{trained} epochs are trained already, more than {planned}", hint, field="epochs")


def _gone(trainer: Trainer, kept: EpochResult | None) -> str:
    """Return a sentence if an epoch is better than the one that is kept, by what best goes by now."""
    criterion = trainer.criterion()
    better = gone_best(trainer.state.cursor.history, criterion)
    if not better or not kept:
        return ""
    what = f"by {criterion.metric} epoch {better.epoch} is the best so far, but its weights were not kept"
    return f"Note: {what}; the best checkpoint is that of epoch {kept.epoch} until a later one is better."


def first_state(
    run: RunFolder, parts: Parts, sources: Sources, before: Callable[[Trainer], None] | None = None
) -> Trainer:
    """Write the files of a new run, and return its trainer; the folder is removed again if that fails.

    `before` is done before it is a run that can be resumed: what it lets the trainer know is part of its first state.
    """
    trainer = make_trainer(parts, run)
    trainer.read_from(sources.train, sources.val)
    write_first(run, parts, trainer, before)
    return trainer


def write_first(
    run: RunFolder, parts: Parts, trainer: Trainer, before: Callable[[Trainer], None] | None = None
) -> None:
    """Write the files of a new run, as its trainer stands; see `first_state`."""
    try:
        write_text(run.classes, dump_json(parts.data.classes) + "\n")
        write_text(run.environment, dump_json(environment(parts.precision.device, parts.built.origin)) + "\n")
        write_listing(run.data, list_images(parts.data, parts.settings.data))
        record_teacher(run, parts.lesson)
        if before:
            before(trainer)
        trainer.save_last()
        # The last file that makes it a run: a folder that has it can be resumed, whatever happens.
        write_text(run.config, saved_config(parts.settings))
    except BaseException:
        discard_run(run)
        raise


def _keep(run: RunFolder, trainer: Trainer, data: Data, reopened: Reopened) -> None:
    """Record a change: in the checkpoint, which decides, then in the files."""
    state = trainer.state
    record: dict[str, Any] = {"epoch": state.cursor.epoch, "batch": state.cursor.batch}
    record["settings"] = changes_record(state.settings, reopened.changes)
    if reopened.data_change:
        names = ("added", "removed", "replaced")
        record["data"] = {name: len(getattr(reopened.data_change, name)) for name in names}
    state.changes.append(record)
    trainer.save_last()
    write_json_lines(run.changes, state.changes)
    write_text(run.config, saved_config(trainer.saver.place.kept(state.settings)))
    if reopened.data_change:
        write_listing(run.data, list_images(data, state.settings.data))
