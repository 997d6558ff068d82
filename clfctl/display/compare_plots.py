"""A comparison as pictures: the curves of all runs on the same axes, and their confusion matrices side by side."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from clfctl.comparing.comparison import Side
from clfctl.display.curve import letter_of

# Of Okabe and Ito, which stay apart for every kind of colour vision; after them come other strokes.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STROKES = ("-", "--", ":", "-.")
PANELS = {"val_top1": "Validation accuracy", "val_loss": "Loss (dotted: training)", "lr": "Learning rate"}
# Rates that lie further apart need a logarithmic axis.
_LOG_SPAN = 30.0


def curves_figure(sides: Sequence[Side], size: tuple[float, float] = (11.5, 3.9)) -> Figure:
    """Return accuracy, loss and learning rate of all runs, a panel each; a star is the epoch that is kept."""
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    panels = figure.subplots(1, len(PANELS))
    for axes, (name, title) in zip(panels, PANELS.items(), strict=True):
        for place, side in enumerate(sides):
            _draw(axes, side, place, name)
        axes.set_title(title)
        axes.set_xlabel("epochs")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        values = [y for line in axes.lines for y in line.get_ydata() if y > 0 and math.isfinite(y)]
        if name == "val_top1":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        elif values and max(values) > _LOG_SPAN * min(values):
            axes.set_yscale("log")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(sides)), frameon=False)
    return figure


def _draw(axes: Axes, side: Side, place: int, name: str) -> None:
    color, stroke = _COLORS[place % len(_COLORS)], _STROKES[place // len(_COLORS) % len(_STROKES)]
    history = side.entry.history
    if name == "lr":
        times = [time for each in history for time in (each.epoch - 1, each.epoch)]
        rates = [rate for each in history for rate in (each.lr_start, each.lr)]
        axes.plot(times, rates, stroke, color=color)
        return
    epochs = [each.epoch for each in history]
    marker = "o" if len(history) == 1 else None
    values = [each.metric(name) for each in history]
    # With its letter, as in the tables; a label that begins with an underscore would be left out.
    axes.plot(epochs, values, stroke, color=color, label=f"{letter_of(place)} {side.name}", marker=marker)
    if name == "val_loss":
        training = [each.metric("train_loss") for each in history]
        axes.plot(epochs, training, ":", color=color, alpha=0.7)
    if (best := side.entry.best) and math.isfinite(best.metric(name)):
        axes.plot([best.epoch], [best.metric(name)], "*", color=color, markersize=12)
