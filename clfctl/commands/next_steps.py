"""What a training came to, and the commands that make sense after it."""

import math
from collections.abc import Sequence
from pathlib import Path

from clfctl.api import Trained
from clfctl.display.epochs import format_time


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
    return [*lines, f"Run folder: {trained.run}", "Next:", *next_steps(trained.run)]


def next_steps(run: Path) -> Sequence[str]:
    """Return the commands that make sense for a trained run."""
    return [
        f"  clfctl eval {run}              accuracy on the validation images",
        f"  clfctl predict {run} IMAGE...  classes of images of your own",
        f"  clfctl resume {run}            go on, if it was stopped before its end",
    ]
