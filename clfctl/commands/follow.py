"""Training in front of the user: display, history, plots and the next step. Shared by train and resume."""

import math

from clfctl.display.choose import make_display
from clfctl.display.epochs import format_time
from clfctl.display.notes import note
from clfctl.engine.assemble import Parts
from clfctl.engine.results import EpochResult
from clfctl.engine.trainer import Trainer
from clfctl.errors import CheckpointError, ClfctlError, WriteError
from clfctl.planning.plan import Plan
from clfctl.runs.folder import RunFolder
from clfctl.schedules import sample_curve
from clfctl.schedules.stopping import best_epoch
from clfctl.settings.groups import OutputSettings
from clfctl.storage.json_lines import append_json_line, write_json_lines


def follow(trainer: Trainer, run: RunFolder, output: OutputSettings) -> None:
    """Train to the end, and leave history, plots and a summary, whatever the end is."""
    plan, history = trainer.plan, trainer.state.cursor.history
    # The checkpoint decides what has happened: a line written after it belongs to an epoch that comes again.
    write_json_lines(run.history, (result.as_record() for result in history))
    try:
        with make_display(output, plan.epochs, trainer.progress, _curve(trainer), history) as display:
            for result in trainer.epochs():
                append_json_line(run.history, result.as_record())
                display.add(result)
                if plan.schedule.follows_metrics:
                    display.update_curve(_curve(trainer))
    except (KeyboardInterrupt, WriteError, CheckpointError):
        raise  # a second Ctrl-C waits for no plots, and a disk that failed is not written to again
    except ClfctlError:
        _leave_behind(trainer, run, output)
        raise
    _leave_behind(trainer, run, output)
    if trainer.state.settings.export:
        from clfctl.commands.export import export_after_training

        export_after_training(run, trainer.val_loader.part or trainer.train_loader.part, output)
    note(output, *_summary(trainer, run))


def complete(trainer: Trainer, run: RunFolder, output: OutputSettings) -> None:
    """Write what a finished run lacks because it was stopped after its last save: history and plots."""
    write_json_lines(run.history, (result.as_record() for result in trainer.state.cursor.history))
    if not run.plots.is_dir():
        _leave_behind(trainer, run, output)


def _curve(trainer: Trainer) -> list[tuple[float, float]]:
    plan, metrics = trainer.plan, trainer.metrics()
    return sample_curve(plan.schedule, plan.base_lr, plan.last_epoch(metrics), metrics)


def _leave_behind(trainer: Trainer, run: RunFolder, output: OutputSettings) -> None:
    bad = trainer.train_loader.bad_images.found
    if bad:
        write_json_lines(run.bad_images, ({"image": name, "reason": reason} for name, reason in sorted(bad.items())))
        names = list(bad)[:3]
        more = f" and {len(bad) - len(names)} more" if len(bad) > len(names) else ""
        note(output, f"Bad images skipped: {len(bad)} ({', '.join(names)}{more}); see {run.bad_images}")
    if trainer.state.cursor.history:
        from clfctl.display.plots import save_plots  # matplotlib costs a second, at the end only

        try:
            save_plots(trainer.state.cursor.history, run.plots)
        except (OSError, WriteError) as error:
            note(output, f"The plots could not be written: {error}")


def _summary(trainer: Trainer, run: RunFolder) -> list[str]:
    history = trainer.state.cursor.history
    best = _best(trainer)
    took = format_time(sum(result.time_s for result in history))
    early = " (early stopping)" if trainer.stopped_early() else ""
    lines = [f"Trained {len(history)} of {trainer.plan.epochs} epochs{early} in {took}."]
    if best:
        has_val = not math.isnan(best.metric("val_loss"))
        val = f"val accuracy {100 * best.metric('val_top1'):.2f} %, val loss {best.metric('val_loss'):.4f}"
        train = f"train loss {best.metric('train_loss'):.4f}"
        lines.append(f"Best: epoch {best.epoch}, {val if has_val else train}.")
    return [*lines, f"Run folder: {run.path}", "Next:", *next_steps(run)]


def next_steps(run: RunFolder) -> list[str]:
    """Return the commands that make sense for a trained run."""
    return [
        f"  clfctl eval {run.path}              accuracy on the validation images",
        f"  clfctl predict {run.path} IMAGE...  classes of images of your own",
        f"  clfctl resume {run.path}            go on, if it was stopped before its end",
    ]


def _best(trainer: Trainer) -> EpochResult | None:
    best = best_epoch(trainer.metrics(), trainer.plan.mode)
    return None if best is None else trainer.state.cursor.history[best]


def describe_loader(trainer: Trainer) -> list[str]:
    """Return how many threads decode, where that was not asked for by number."""
    n = trainer.train_loader.workers
    if trainer.state.settings.workers != "auto":
        return []
    return [f"Loader {n} {'thread decodes' if n == 1 else 'threads decode'} images (--workers auto)"]


def warnings_of(plan: Plan) -> list[str]:
    """Return what about the learning rate is most likely a mistake, a line each."""
    return [f"Warning: {caution}." for caution in plan.cautions]


def describe_parts(parts: Parts) -> list[str]:
    """Return data, model and device, a line each."""
    from clfctl.engine.device import describe

    data, built, precision = parts.data, parts.built, parts.precision
    counts = f"{len(data.train)} training and {len(data.val)} validation images"
    counts += f", {len(data.test)} for testing" if data.test else ""
    counts += f"; left out: {data.left_out}" if data.left_out else ""
    dtype = str(precision.dtype).removeprefix("torch.")
    size = f"{built.n_parameters / 1e6:.2f} M parameters"
    n_bytes = sum(each.numel() * each.element_size() for each in built.model.state_dict().values())
    from clfctl.data.balance import describe_counts

    return [
        f"Data   {parts.settings.data}: {len(data.classes)} classes, {counts}",
        *(f"Note   {each}" for each in data.notes),
        *describe_counts(data.train, data.classes, parts.settings.balance),
        f"Model  {parts.settings.model}: {size}, {n_bytes / 1e6:.1f} MB, {built.origin}",
        f"Device {describe(precision.device)}, {dtype}",
    ]
