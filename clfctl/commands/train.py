"""clfctl train: from settings to a run folder with a trained model; or, dry, to a look at what it would be."""

from typing import TYPE_CHECKING

from clfctl.commands.notes import note
from clfctl.data.fingerprint import list_images, write_listing
from clfctl.data.index import count_batches
from clfctl.data.open import open_data
from clfctl.data.sources import Data
from clfctl.engine.signals import stopping_at_once
from clfctl.errors import UsageError
from clfctl.files import write_text
from clfctl.models.names import check_model_name
from clfctl.plan import Plan, heed, keep_fitting, make_plan
from clfctl.run_state import training
from clfctl.runs import RunFolder, check_new_run, create_run, discard_run, dump_json
from clfctl.schedules import sample_curve
from clfctl.settings.dump import to_toml
from clfctl.settings.groups import OutputSettings, TrainSettings
from clfctl.settings.sources import Resolved

if TYPE_CHECKING:
    from clfctl.commands.assemble import Parts
    from clfctl.commands.caching import Sources
    from clfctl.engine.trainer import Trainer


def train(resolved: Resolved[TrainSettings], output: OutputSettings) -> None:
    """Train a classifier; the run folder is made when everything that can be checked before is checked."""
    with stopping_at_once("nothing was trained yet"):
        settings = keep_fitting(resolved).settings
        data, plan = _checked(settings)
        # torch costs seconds: a misspelt folder or model is reported before.
        from clfctl.commands.assemble import build_parts
        from clfctl.commands.caching import cached_sources

        parts = build_parts(settings, data)
        sources = cached_sources(settings, data, parts.built.preprocess, output)
        run = create_run(settings.runs_dir, settings.run_name, settings.model)
        with training(run):
            _begin(run, parts, sources, warnings_of(plan), output)


def _begin(run: RunFolder, parts: "Parts", sources: "Sources", warnings: list[str], output: OutputSettings) -> None:
    from clfctl.commands.assemble import make_trainer
    from clfctl.commands.environment import environment
    from clfctl.commands.follow import follow

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


def describe_loader(trainer: "Trainer") -> list[str]:
    """Return how many threads decode, where that was not asked for by number."""
    n = trainer.train_loader.workers
    if trainer.state.settings.workers != "auto":
        return []
    return [f"Loader {n} {'thread decodes' if n == 1 else 'threads decode'} images (--workers auto)"]


def dry_run(resolved: Resolved[TrainSettings], output: OutputSettings) -> None:
    """Check everything as train does, show settings with their sources, curve and model, and stop."""
    resolved = keep_fitting(resolved)
    settings = resolved.settings
    data, plan = _checked(settings)
    from clfctl.commands.assemble import build_parts
    from clfctl.commands.caching import describe_cache

    parts = build_parts(settings, data)
    cache = describe_cache(settings, data, parts.built.preprocess)
    if output.json_lines:
        values = settings.model_dump(mode="json")
        print(dump_json({name: {"value": value, "from": resolved.origins[name]} for name, value in values.items()}))
        return
    if output.quiet:
        return
    from clfctl.display.settings_table import print_dry_run

    curve = sample_curve(plan.schedule, plan.base_lr, plan.epochs)
    print_dry_run(resolved, curve, [*warnings_of(plan), *describe_parts(parts), *cache])


def warnings_of(plan: Plan) -> list[str]:
    """Return what about the learning rate is most likely a mistake, a line each."""
    return [f"Warning: {caution}." for caution in plan.cautions]


def describe_parts(parts: "Parts") -> list[str]:
    """Return data, model and device, a line each."""
    from clfctl.engine.device import describe

    data, built, precision = parts.data, parts.built, parts.precision
    counts = f"{len(data.train)} training and {len(data.val)} validation images"
    counts += f", {len(data.test)} for testing" if data.test else ""
    dtype = str(precision.dtype).removeprefix("torch.")
    size = f"{built.n_parameters / 1e6:.2f} M parameters"
    n_bytes = sum(each.numel() * each.element_size() for each in built.model.state_dict().values())
    from clfctl.data.balance import describe_counts

    return [
        f"Data   {parts.settings.data}: {len(data.classes)} classes, {counts}",
        *describe_counts(data.train, data.classes, parts.settings.balance),
        f"Model  {parts.settings.model}: {size}, {n_bytes / 1e6:.1f} MB, {built.origin}",
        f"Device {describe(precision.device)}, {dtype}",
    ]


def _checked(settings: TrainSettings) -> tuple[Data, Plan]:
    """Check what can be checked without torch, open the data, and plan the learning rate."""
    check_new_run(settings.runs_dir, settings.run_name)
    check_model_name(settings.model)
    data = open_data(settings, settings.seed)
    if settings.monitor.startswith("val") and not len(data.val):
        hint = "use --monitor train_loss, or keep some images with --val-split 0.2"
        raise UsageError(f"--monitor: {settings.monitor} needs validation images, and there are none", hint)
    plan = make_plan(settings, count_batches(len(data.train), settings.batch_size, is_shuffled=True))
    heed(settings, plan)
    return data, plan


def saved_config(settings: TrainSettings) -> str:
    """Return the text of a run's config.toml: everything but the name, which is taken now."""
    return to_toml(settings.model_copy(update={"run_name": ""}))
