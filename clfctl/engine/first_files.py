"""The first files of a run: with the last of them it can be resumed, whatever happens."""

from collections.abc import Callable

from clfctl.data.cache.make import Sources
from clfctl.data.sources.fingerprint import list_images, write_listing
from clfctl.engine.assemble import Parts, make_trainer
from clfctl.engine.environment import environment
from clfctl.engine.teacher import record_teacher
from clfctl.engine.trainer import Trainer
from clfctl.engine.world import ALONE, World
from clfctl.runs.folder import RunFolder, discard_run
from clfctl.runs.relaunch import note_launch
from clfctl.settings.dump import saved_config
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json


def first_state(
    run: RunFolder,
    parts: Parts,
    sources: Sources,
    before: Callable[[Trainer], None] | None = None,
    world: World = ALONE,
) -> Trainer:
    """Write the files of a new run, and return its trainer; the folder is removed again if that fails.

    `before` is done before it is a run that can be resumed: what it lets the trainer know is part of its first state.
    """
    with world.agreeing():
        trainer = make_trainer(parts, run, world=world)
        trainer.read_from(sources.train, sources.val)
        if world.is_first:
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
        note_launch(run)
        if before:
            before(trainer)
        trainer.save_last()
        # The last file that makes it a run: a folder that has it can be resumed, whatever happens.
        write_text(run.config, saved_config(parts.settings))
    except BaseException:
        discard_run(run)
        raise
