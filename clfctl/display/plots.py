"""The history of a run as PNG plots: losses, accuracy and learning rate over the epochs."""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.runs.history import MOVED, START, EpochResult
from clfctl.storage.files import explained, replace_file

# Blue, vermilion and green of Okabe and Ito, which stay apart for every kind of colour vision.
_BLUE, _VERMILION, _GREEN = "#0072B2", "#D55E00", "#009E73"
_LOG_SPAN = 30.0
# The metrics that are called by their part alone, and the colours of the others.
_MAIN = ("train_loss", "val_loss", "val_top1")
_OTHERS = ("#CC79A7", "#E69F00", "#56B4E9", "#000000")


def save_plots(history: Sequence[EpochResult], folder: Path) -> list[Path]:
    """Write loss.png, accuracy.png and lr.png into `folder`, which is made; return their paths, none without epochs.

    Where a schedule moved momentum or weight decay, momentum.png and weight_decay.png are beside them. Values that are
    not finite leave a gap. Uses no display and none of pyplot's global state.
    """
    if not history:
        return []
    folder.mkdir(exist_ok=True)
    paths = []
    for name, figure in history_figures(history, (7.2, 4.4)):
        paths.append(folder / f"{name}.png")
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        with explained(paths[-1]):
            replace_file(paths[-1], [picture.getbuffer()])
    return paths


def history_figures(history: Sequence[EpochResult], size: tuple[float, float]) -> Iterator[tuple[str, Figure]]:
    """Yield `loss`, `accuracy` and `lr`, each with its figure of a size in inches; `history` is not empty.

    What else a schedule moved follows: `momentum` and `weight_decay`.
    """
    draws: dict[str, Callable[[Axes, Sequence[EpochResult]], None]]
    draws = {"loss": _draw_loss, "accuracy": _draw_accuracy, "lr": _draw_lr}
    moved = [name for name in MOVED if any(name in each.moved for each in history)]
    draws |= {name: partial(_draw_moved, name) for name in moved}
    for name, draw in draws.items():
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        axes = figure.subplots()
        draw(axes, history)
        _dress(axes)
        yield name, figure


def _draw_loss(axes: Axes, history: Sequence[EpochResult]) -> None:
    has_val = any(math.isfinite(each.metric("val_loss")) for each in history)
    _draw_kind(axes, history, "loss", "val_loss" if has_val else "train_loss", lambda loss: f"{loss:.4f}")
    axes.set_title("Loss")
    axes.set_ylabel("mean loss per image")


def _draw_accuracy(axes: Axes, history: Sequence[EpochResult]) -> None:
    _draw_kind(axes, history, "share", "val_top1", lambda share: f"{100 * share:.2f} %")
    if not axes.lines:
        axes.text(0.5, 0.5, "no validation images", transform=axes.transAxes, ha="center")
        axes.set_xlim(history[0].epoch - 0.5, history[-1].epoch + 0.5)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_title("Validation accuracy (top 1)")
    axes.set_ylabel("accuracy")


def _draw_kind(
    axes: Axes, history: Sequence[EpochResult], kind: str, marked: str, text: Callable[[float], str]
) -> None:
    """Draw the metrics of a kind that are shown, and a star at the best epoch on the one called `marked`."""
    drawn = {name: metric for name, metric in METRICS.items() if metric.kind == kind and metric.is_shown}
    others = iter(_OTHERS)
    for name, metric in drawn.items():
        style, color, label = "-", _VERMILION, "validation"
        if metric.part == "train":
            style, color, label = "--", _BLUE, "training"
        if name not in _MAIN:
            color, label = next(others, _BLUE), metric.title
        _draw_metric(axes, history, [each.metric(name) for each in history], color, label, style)
    _mark_best(axes, history, [each.metric(marked) for each in history], text)


def _draw_lr(axes: Axes, history: Sequence[EpochResult]) -> None:
    times = [time for each in history for time in (each.epoch - 1, each.epoch)]
    rates = [rate for each in history for rate in (each.lr_start, each.lr)]
    axes.plot(times, rates, color=_BLUE, linewidth=1.8)
    positive = [rate for rate in rates if rate > 0 and math.isfinite(rate)]
    if positive and max(positive) > _LOG_SPAN * min(positive):
        axes.set_yscale("log", nonpositive="clip")
    else:
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    axes.set_title("Learning rate")
    axes.set_ylabel("learning rate")


def _draw_moved(name: str, axes: Axes, history: Sequence[EpochResult]) -> None:
    """Draw what a schedule moved beside the rate, at the first and last step of each epoch; a gap where none did."""
    times = [time for each in history for time in (each.epoch - 1, each.epoch)]
    values = [each.moved.get(key, math.nan) for each in history for key in (name + START, name)]
    axes.plot(times, values, color=_BLUE, linewidth=1.8)
    words = name.replace("_", " ")
    axes.set_title(words.capitalize())
    axes.set_ylabel(words)


def _draw_metric(
    axes: Axes, history: Sequence[EpochResult], values: Sequence[float], color: str, label: str, style: str
) -> None:
    finite = [value if math.isfinite(value) else math.nan for value in values]
    if all(map(math.isnan, finite)):
        return
    size = 4 if len(history) <= 50 else 0  # but a lone epoch has no line to be seen by
    axes.plot([each.epoch for each in history], finite, style, color=color, label=label, marker="o", markersize=size)


def _mark_best(
    axes: Axes, history: Sequence[EpochResult], values: Sequence[float], text: Callable[[float], str]
) -> None:
    best = [(each.epoch, value) for each, value in zip(history, values, strict=True) if each.is_best]
    if not best or not math.isfinite(best[-1][1]):
        return
    epoch, value = best[-1]
    label = f"best: epoch {epoch}, {text(value)}"
    axes.plot([epoch], [value], "*", color=_GREEN, markersize=14, label=label, zorder=3)


def _dress(axes: Axes) -> None:
    axes.set_xlabel("epochs")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
