"""What a training came to, and the commands that make sense after it."""

import math
from collections.abc import Sequence
from pathlib import Path

from clfctl.api import Trained
from clfctl.display.epochs import format_time
from clfctl.runs.best import Criterion, gone_best
from clfctl.runs.history import EpochResult
from clfctl.storage.names import shell


def summary(trained: Trained) -> list[str]:
    """Return how a training went, a line each, and what to do next."""
    took = format_time(sum(result.time_s for result in trained.history))
    early = " (early stopping)" if trained.stopped_early else ""
    lines = [f"Trained {len(trained.history)} of {trained.planned_epochs} epochs{early} in {took}."]
    if best := trained.best:
        has_val = not math.isnan(best.metric("val_loss"))
        val = f"val accuracy {100 * best.metric('val_top1'):.2f} %, val loss {best.metric('val_loss'):.4f}"
        train = f"train loss {best.metric('train_loss'):.4f}"
        lines.append(f"Best: epoch {best.epoch}, {val if has_val else train}.")
        lines += _others(trained, best)
    return [*lines, f"Run folder: {trained.run}", "Next:", *next_steps(trained.run)]


def _others(trained: Trained, kept: EpochResult) -> list[str]:
    """Return what has to be said where the epoch that is kept is not the best in every respect, a line each."""
    lines = []
    monitored = Criterion(trained.monitor, breaks_ties=False).best_of(trained.history)
    if monitored and trained.monitor != trained.best_metric:
        value = monitored.metric(trained.monitor)
        if value != kept.metric(trained.monitor):
            what = f"Best by {trained.monitor} was epoch {monitored.epoch} ({value:.4f})"
            lines.append(f"{what}; the weights that are kept are the best by {trained.best_metric}.")
    if better := gone_best(trained.history, Criterion(trained.best_metric, breaks_ties=False)):
        lines.append(f"Epoch {better.epoch} was better by {trained.best_metric}, but its weights were not kept.")
    return lines


def next_steps(run: Path) -> Sequence[str]:
    """Return the commands that make sense for a trained run."""
    commands = {
        shell("eval", run): "accuracy on the validation images",
        f"{shell('predict', run)} IMAGE...": "classes of images of your own",
        f"{shell('explain', run)} IMAGE...": "what it looks at in them",
        shell("serve", run): "answer over HTTP",
        shell("app", run.parent): "ask it, and look at all runs, in the browser",
        shell("resume", run): "go on, if it was stopped before its end",
    }
    width = max(map(len, commands))
    return [f"  {command.ljust(width)}  {about}" for command, about in commands.items()]
