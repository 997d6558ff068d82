"""A range test as a picture, PNG or SVG: losses over the rate, their smoothed curves, and the rates they suggest."""

import io
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from clfctl.display.curve import format_lr
from clfctl.display.find_text import ceiling
from clfctl.finding.found import RateFinding
from clfctl.storage.files import explained, replace_file

# Blue, vermilion, green, purple of Okabe and Ito, which stay apart for every kind of colour vision.
_BLUE = "#0072B2"
_COLORS = {"valley": "#D55E00", "steepest": "#009E73", "slide": "#CC79A7", "minimum": "#555555"}
_STYLE: Any = {"svg.hashsalt": "clfctl", "svg.fonttype": "none", "font.size": 9.5, "text.parse_math": False}
_UNDATED: dict[str, dict[str, str | None]] = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}


def save_find_plot(found: RateFinding, take: str, path: Path) -> None:
    """Write the picture of a range test, its format by the suffix; the same curves give the same bytes.

    Raises WriteError.
    """
    suffix = path.suffix.lower()
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained", facecolor="white")
        axes = figure.subplots()
        _draw_losses(axes, found)
        for each in found.suggestions:
            taken = each.name == take
            axes.axvline(
                each.lr,
                color=_COLORS[each.name],
                linewidth=2.0 if taken else 1.2,
                linestyle="-" if taken else "--",
                label=f"{each.name}: {each.lr:.2g}",
            )
            if taken and len(found.sweeps) > 1:
                axes.axvspan(each.low, each.high, color=_COLORS[each.name], alpha=0.12, linewidth=0)
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: format_lr(rate)))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
        picture = io.BytesIO()
        figure.savefig(picture, format=suffix[1:], metadata=_UNDATED[suffix])
    with explained(path):
        replace_file(path, [picture.getbuffer()])


def _draw_losses(axes: Axes, found: RateFinding) -> None:
    sweeps = found.sweeps
    axes.set_xscale("log")
    for each in sweeps:
        axes.plot(each.rates, each.losses, ".", color=_BLUE, alpha=0.2, markersize=3)
        axes.plot(each.rates, each.means, color=_BLUE, linewidth=1.6, alpha=0.9 if len(sweeps) == 1 else 0.6)
    if len(sweeps) > 1:
        n = min(len(each.losses) for each in sweeps)
        bounds = list(zip(*(each.means[:n] for each in sweeps), strict=True))
        rates = sweeps[0].rates[:n]
        axes.fill_between(rates, [*map(min, bounds)], [*map(max, bounds)], color=_BLUE, alpha=0.15, linewidth=0)
    top = ceiling(sweeps)
    low = min(min(each.means) for each in sweeps)
    axes.set_ylim(min(low, 0.95 * low), top)
    axes.set_xlim(sweeps[0].extent.start_lr, sweeps[0].extent.end_lr)
