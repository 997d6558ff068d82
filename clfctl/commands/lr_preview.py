"""clfctl lr-preview: the learning rate over the epochs, from the object that training evaluates. No torch, no rich."""

import math
import shutil

from clfctl.display.curve import draw_curve, format_lr
from clfctl.runs import dump_json
from clfctl.schedules import Schedule, build_schedule, sample_curve
from clfctl.settings.groups import OutputSettings, PreviewSettings
from clfctl.settings.sources import Resolved

CURVE_HEIGHT, MAX_WIDTH = 14, 100
MAX_ROWS = 16
STALLED = "plateau, shown for a metric that never improves after the first epoch"


def lr_preview(resolved: Resolved[PreviewSettings], output: OutputSettings) -> None:
    """Print the curve and the learning rate at start and end of the epochs; one JSON object an epoch with `--json`."""
    settings = resolved.settings
    epochs = _length(resolved)
    schedule = build_schedule(settings, epochs, settings.monitor)
    rows = epoch_rates(schedule, settings.lr, epochs)
    if output.json_lines:
        for epoch, (start, end) in enumerate(rows, 1):
            print(dump_json({"epoch": epoch, "lr_start": start, "lr": end}))
        return
    if output.quiet:
        return
    what = STALLED if settings.scheduler == "plateau" else settings.scheduler
    warmup = f", warmup {settings.warmup:g}" if settings.warmup else ""
    print(f"{what}{warmup}: base learning rate {format_lr(settings.lr)}, {epochs} epochs")
    width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    curve = sample_curve(schedule, settings.lr, epochs, _stalled(epochs))
    print(*draw_curve([curve], width, CURVE_HEIGHT), sep="\n")
    print(f"{'epoch':>6}  {'start':>9}  {'end':>9}")
    for epoch in _shown(epochs):
        print(f"{epoch + 1:>6}  {format_lr(rows[epoch][0]):>9}  {format_lr(rows[epoch][1]):>9}")


def epoch_rates(schedule: Schedule, base_lr: float, epochs: int) -> list[tuple[float, float]]:
    """Return the learning rate at the first and towards the last step of every epoch."""
    metrics = _stalled(epochs)
    rates = []
    for epoch in range(epochs):
        last = math.nextafter(epoch + 1, 0)  # epoch + 0.999… would round up to the next epoch
        known = metrics[:epoch]
        rates.append((schedule.lr(base_lr, epoch, known), schedule.lr(base_lr, last, known)))
    return rates


def _length(resolved: Resolved[PreviewSettings]) -> int:
    """Return the epochs to show: those stated, or as many as a stated t_max needs to come to its end."""
    settings = resolved.settings
    if settings.scheduler == "cosine" and settings.t_max and resolved.origins["epochs"].startswith("default"):
        return settings.t_max + math.ceil(settings.warmup)
    return settings.epochs


def _stalled(epochs: int) -> list[float]:
    return [1.0] * epochs


def _shown(epochs: int) -> list[int]:
    """Return all epochs, or as many as fit, evenly from the first to the last."""
    if epochs <= MAX_ROWS:
        return list(range(epochs))
    return [round(i * (epochs - 1) / (MAX_ROWS - 1)) for i in range(MAX_ROWS)]
