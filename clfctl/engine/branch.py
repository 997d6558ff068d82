"""A run that begins with the state of another: made of one of its checkpoints, which is only read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from clfctl.data.cache.make import cached_sources
from clfctl.data.onlookers import Onlookers
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import make_trainer, rebuild_parts
from clfctl.engine.check import check_plan
from clfctl.engine.compiling import compile_if_it_pays
from clfctl.engine.data_change import data_change
from clfctl.engine.device import set_threads
from clfctl.engine.first_files import write_first
from clfctl.engine.saving import RunSaver, saved_settings, windows_in
from clfctl.engine.session import Reopened, Session
from clfctl.engine.teacher import check_teacher
from clfctl.engine.trainer import Trainer
from clfctl.planning.branching import Start, branched
from clfctl.planning.changes import Change, changes_between, changes_record
from clfctl.planning.extending import standing_of
from clfctl.planning.place import place_of
from clfctl.planning.plan import make_plan
from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.family import Trunk, write_trunk
from clfctl.runs.folder import RunFolder, create_run
from clfctl.runs.state import held
from clfctl.storage.json_lines import write_json_lines

# Where and what a run is called: of its own in any case.
OWN = ("runs_dir", "run_name")


@contextmanager
def branch(start: Start, to: Onlookers, *, allow_data_change: bool) -> Iterator[Session]:
    """Make a run of a checkpoint of another, and yield its training; the lock of the new run is held until the end.

    Nothing is written into the trunk and its lock is not taken: it may be training. Raises ClfctlError.
    """
    trunk = start.trunk
    checkpoint = load_checkpoint(start.checkpoint)
    place = place_of(trunk, checkpoint.header)
    saved, left_out = saved_settings(checkpoint)
    saved = place.here(saved)
    standing = standing_of(checkpoint.header, saved.monitor, windows_in(checkpoint))
    settings = branched(saved, standing, start)
    with nullcontext() if start.options.data else place.explaining(trunk, settings, "branch"):
        data = open_data(settings, settings.seed)
    change = data_change(trunk, data, settings, checkpoint, is_allowed=allow_data_change)
    restarts = bool(change) and bool(checkpoint.resumption.position.batch)
    if restarts:  # the batches that were trained are not those of the epoch any more
        standing = standing_of(checkpoint.header, saved.monitor, windows_in(checkpoint), restarts_epoch=True)
        settings = branched(saved, standing, start)
    parts = rebuild_parts(settings, data, checkpoint)
    check_teacher(trunk, parts.lesson)
    told = [*left_out, set_threads(checkpoint.header.n_threads)]
    trainer = make_trainer(parts, trunk, checkpoint, restarts_epoch=restarts)
    check_plan(settings, trainer.plan)
    sources = cached_sources(settings, data, parts.built.preprocess, to)
    trainer.read_from(sources.train, sources.val)
    run = create_run(start.runs_dir, start.options.run_name, start.made_from)
    trainer.saver = RunSaver(run, parts.card, place)
    old_plan = make_plan(saved, standing.n_batches)
    changes = [each for each in changes_between(saved, settings) if each.name not in OWN]
    reopened = Reopened(old_plan, standing.last_lr, changes, change, restarts)
    with held(run):
        write_first(run, parts, trainer, lambda trainer: _become(run, trunk, trainer, reopened.changes))
        compile_if_it_pays(trainer, to.tell)
        yield Session(run, parts, trainer, [each for each in told if each], reopened)


def _become(run: RunFolder, trunk: RunFolder, trainer: Trainer, changes: Sequence[Change]) -> None:
    """Let a trainer that stands where its trunk stood be that of a run of its own, with its settings changed."""
    cursor = trainer.state.cursor
    # The best weights of the trunk are in the trunk's folder: the best here is the best of what is trained here.
    cursor.history = [replace(result, is_best=False) for result in cursor.history]
    record: dict[str, Any] = {"epoch": cursor.epoch, "batch": cursor.batch, "branch_of": trunk.path.name}
    trainer.state.changes.append(record | {"settings": changes_record(trainer.state.settings, changes)})
    write_json_lines(run.changes, trainer.state.changes)
    write_trunk(run, Trunk(trunk.path, cursor.epoch, cursor.batch, len(cursor.losses)))
