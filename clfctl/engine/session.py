"""A training from its run folder to its end: begun, or reopened where it was stopped, and then trained."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clfctl.data.cache.make import cached_sources
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
from clfctl.engine.first_files import first_state
from clfctl.engine.joining import check_alike
from clfctl.engine.optimizer_state import kept_decay
from clfctl.engine.rate_search import find_rate
from clfctl.engine.read_features import read_features
from clfctl.engine.reopening import check_epochs, gone, other_processes
from clfctl.engine.run_files import BadImagesFile, HistoryFile, WindowsFile
from clfctl.engine.saving import saved_settings, windows_in
from clfctl.engine.soup import cook
from clfctl.engine.teacher import check_teacher, record_teacher
from clfctl.engine.time_budget import fit_time
from clfctl.engine.trainer import Trainer
from clfctl.engine.watching import Training, Watcher, Watchers
from clfctl.engine.world import ALONE, World
from clfctl.models.timm_models import lasting_name
from clfctl.planning.changes import NEW_BATCHES, Change, change_settings, changes_between, changes_record
from clfctl.planning.extending import extend, standing_of
from clfctl.planning.place import place_of
from clfctl.planning.plan import Plan, make_plan, refuse_cautions
from clfctl.runs.best import put_later_best_aside
from clfctl.runs.checkpoint import load_last
from clfctl.runs.folder import RunFolder, create_run
from clfctl.runs.history import EpochResult, check_measured
from clfctl.runs.kept import put_later_kept_aside
from clfctl.runs.relaunch import note_launch
from clfctl.runs.state import held
from clfctl.schedules import sample_curve
from clfctl.settings.dump import saved_config
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import TYPED
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import write_json_lines


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
            world, preprocess = self.trainer.world, self.parts.built.preprocess
            sources = world.in_turn(lambda: cached_sources(settings, data, preprocess, to))
            self.trainer.read_from(sources.train, sources.val)
            compile_if_it_pays(self.trainer, to.tell)
        with self.trainer.world.agreeing():
            if self.trainer.world.is_first:
                self._keep_changes(to)

    def _keep_changes(self, to: Onlookers) -> None:
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
        if self.trainer.world.is_alone:  # else the whole network computes: what it makes of an image is the same
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
        everyone = [HistoryFile(), WindowsFile(), *watchers, BadImagesFile(to.tell)]
        return Watchers(everyone if self.trainer.world.is_first else (), to.tell)

    def _training(self) -> Training:
        trainer = self.trainer
        cursor, bad = trainer.state.cursor, trainer.train_loader.bad_images.found
        history = tuple(cursor.history)
        return Training(self.run, trainer.plan, history, trainer.progress, self._curve, bad, cursor.windows)

    def _curve(self) -> list[tuple[float, float]]:
        plan, metrics = self.trainer.plan, self.trainer.metrics()
        return sample_curve(plan.schedule, plan.base_lr, plan.last_epoch(metrics), metrics)


@contextmanager
def begin(settings: TrainSettings, data: Data, to: Onlookers, world: World | None = None) -> Iterator[Session]:
    """Build everything, make the run folder, and yield the training; the run's lock is held until the end.

    The folder is made when everything that can be checked before is checked. Raises ClfctlError.
    """
    started, world = time.perf_counter(), world or ALONE
    check_alike(world, settings, data)
    # In turn: the first may load weights that the others find then.
    lasting = settings.model_copy(update={"model": lasting_name(settings.model)})
    parts = world.in_turn(lambda: build_parts(lasting, data, world))
    parts, found = find_batch_size(parts, to.tell)
    sources = world.in_turn(lambda: cached_sources(settings, data, parts.built.preprocess, to))
    parts, rate = find_rate(parts, to, sources, world=world)
    parts, fits = fit_time(parts, to.tell, sources, time.perf_counter() - started, world)
    with ExitStack() as ends:
        run = _new_run(settings, world, ends)
        trainer = first_state(run, parts, sources, world=world)
        if parts.settings.compile:
            compile_if_it_pays(trainer, to.tell)
            trainer.save_last()  # what was decided is kept to
        yield Session(run, parts, trainer, chosen=[*found, *rate, *fits])


def _new_run(settings: TrainSettings, world: World, ends: ExitStack) -> RunFolder:
    """Make the run folder, in the first process, which holds its lock until the end; return it in all."""
    made = ""
    with world.agreeing():
        if world.is_first:
            run = create_run(settings.runs_dir, settings.run_name, settings.model)
            ends.enter_context(held(run))
            made = str(run.path)
    return RunFolder(Path(world.first_says(made)))


@contextmanager
def reopen(
    run: RunFolder,
    stated: Mapping[str, Any],
    where: str = TYPED,
    *,
    allow_data_change: bool,
    world: World | None = None,
) -> Iterator[Session]:
    """Yield the training of a run as it was saved, with the stated settings in place of its own; nothing is kept yet.

    `where` they are stated is in the messages. The run's lock is held until the end. Raises ClfctlError.
    """
    world = world or ALONE
    with ExitStack() as ends:
        with world.agreeing():
            if world.is_first:
                ends.enter_context(held(run))
        session = world.in_turn(lambda: _reopened(run, stated, where, world, allow_data_change=allow_data_change))
        check_alike(world, session.parts.settings, session.parts.data)
        yield session


def _reopened(
    run: RunFolder, stated: Mapping[str, Any], where: str, world: World, *, allow_data_change: bool
) -> Session:
    """Return the training of a run, whose lock is held."""
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
    parts = rebuild_parts(settings, data, checkpoint, world)
    if "distill" not in stated:
        check_teacher(run, parts.lesson)
    trainer = make_trainer(parts, run, checkpoint, restarts_epoch=restarts, world=world)
    check_epochs(trainer)
    check_unfreezing(settings, trainer.plan)
    refuse_cautions(settings, trainer.plan)
    other = other_processes(checkpoint.resumption.n_processes, world.size)
    # As many threads give the same bits. With other processes they are others anyway, and so are the cores of each.
    threads = "" if other else set_threads(checkpoint.header.n_threads)
    told = (warning, *left_out, other, threads, kept_decay(saved, checkpoint))
    warnings = [each for each in (*told, gone(trainer, trainer.best())) if each]
    old_plan = make_plan(saved, standing.n_batches)
    reopened = Reopened(old_plan, standing.last_lr, changes, change, restarts, extension.line)
    return Session(run, parts, trainer, warnings, reopened)


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
    note_launch(run)  # started anew, these processes need not change it again
    if reopened.data_change:
        write_listing(run.data, list_images(data, state.settings.data))
