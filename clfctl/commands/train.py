"""clfctl train: from settings to a run folder with a trained model; or, dry, to a look at what it would be."""

from typing import TYPE_CHECKING

from clfctl.data.sources.base import Data
from clfctl.data.sources.fingerprint import list_images, write_listing
from clfctl.data.sources.index import count_batches
from clfctl.data.sources.open import open_data
from clfctl.display.notes import note
from clfctl.engine.signals import stopping_at_once
from clfctl.models.sources import source_of
from clfctl.planning.plan import Plan, check_monitor, keep_fitting, make_plan, refuse_cautions
from clfctl.runs.folder import RunFolder, check_new_run, create_run, discard_run
from clfctl.runs.state import held
from clfctl.schedules import sample_curve
from clfctl.settings.dump import saved_config
from clfctl.settings.groups import OutputSettings, TrainSettings
from clfctl.settings.sources import Resolved
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json

if TYPE_CHECKING:
    from clfctl.data.cache.make import Sources
    from clfctl.engine.assemble import Parts


def train(resolved: Resolved[TrainSettings], output: OutputSettings) -> None:
    """Train a classifier; the run folder is made when everything that can be checked before is checked."""
    with stopping_at_once("nothing was trained yet"):
        settings = keep_fitting(resolved).settings
        data, plan = _checked(settings)
        # torch costs seconds: a misspelt folder or model is reported before.
        from clfctl.commands.follow import warnings_of
        from clfctl.data.cache.make import cached_sources
        from clfctl.display.progress import onlookers
        from clfctl.engine.assemble import build_parts

        parts = build_parts(settings, data)
        sources = cached_sources(settings, data, parts.built.preprocess, onlookers(output))
        run = create_run(settings.runs_dir, settings.run_name, settings.model)
        with held(run):
            _begin(run, parts, sources, warnings_of(plan), output)


def _begin(run: RunFolder, parts: "Parts", sources: "Sources", warnings: list[str], output: OutputSettings) -> None:
    from clfctl.commands.follow import describe_loader, describe_parts, follow
    from clfctl.engine.assemble import make_trainer
    from clfctl.engine.environment import environment

    trainer = make_trainer(parts, run)
    trainer.read_from(sources.train, sources.val)
    try:
        write_text(run.classes, dump_json(parts.data.classes) + "\n")
        write_text(run.environment, dump_json(environment(parts.precision.device)) + "\n")
        write_listing(run.data, list_images(parts.data, parts.settings.data))
        trainer.save_last()
        # The last file that makes it a run: a folder that has it can be resumed, whatever happens.
        write_text(run.config, saved_config(parts.settings))
    except BaseException:
        discard_run(run)
        raise
    with stopping_at_once(f"go on with: clfctl resume {run.path}"):
        note(output, *describe_parts(parts), *describe_loader(trainer), f"Run    {run.path}", *warnings)
        follow(trainer, run, output)


def dry_run(resolved: Resolved[TrainSettings], output: OutputSettings) -> None:
    """Check everything as train does, show settings with their sources, curve and model, and stop."""
    resolved = keep_fitting(resolved)
    settings = resolved.settings
    data, plan = _checked(settings)
    from clfctl.data.cache.make import describe_cache
    from clfctl.engine.assemble import build_parts

    parts = build_parts(settings, data)
    cache = describe_cache(settings, data, parts.built.preprocess)
    if output.json_lines:
        values = settings.model_dump(mode="json")
        print(dump_json({name: {"value": value, "from": resolved.origins[name]} for name, value in values.items()}))
        return
    if output.quiet:
        return
    from clfctl.commands.follow import describe_parts, warnings_of
    from clfctl.display.settings_table import print_dry_run

    curve = sample_curve(plan.schedule, plan.base_lr, plan.epochs)
    print_dry_run(resolved, curve, [*warnings_of(plan), *describe_parts(parts), *cache])


def _checked(settings: TrainSettings) -> tuple[Data, Plan]:
    """Check what can be checked without torch, open the data, and plan the learning rate."""
    check_new_run(settings.runs_dir, settings.run_name)
    source_of(settings.model)
    data = open_data(settings, settings.seed)
    check_monitor(settings.monitor, len(data.val), len(data.classes))
    plan = make_plan(settings, count_batches(len(data.train), settings.batch_size, is_shuffled=True))
    refuse_cautions(settings, plan)
    return data, plan
