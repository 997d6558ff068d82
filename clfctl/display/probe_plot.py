"""Networks that were probed as a plot, PNG or SVG: accuracy with its interval against the time that each took."""

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from clfctl.probing.found import Probed, best_of
from clfctl.storage.files import explained, replace_file

# Blue and vermilion of Okabe and Ito, which stay apart for every kind of colour vision.
_BLUE, _VERMILION = "#0072B2", "#D55E00"


def save_probe_plot(found: Sequence[Probed], path: Path) -> None:
    """Write the picture of one network or more; uses no display. Raises WriteError."""
    figure = Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained")
    axes, best = figure.subplots(), best_of(found)
    for each in found:
        color = _VERMILION if each is best else _BLUE
        far = [[each.top1 - each.top1_interval.low], [each.top1_interval.high - each.top1]]
        axes.errorbar([each.seconds], [each.top1], far, fmt="o", color=color, capsize=4)
        axes.annotate(each.model, (each.seconds, each.top1), (8, 4), textcoords="offset points", color=color)
    axes.set_xlim(left=0, right=1.35 * max(each.seconds for each in found))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_title("Logistic regression on frozen features")
    axes.set_xlabel("seconds for features and regression")
    axes.set_ylabel("validation accuracy (95 % interval)")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:].lower())
    with explained(path):
        replace_file(path, [picture.getbuffer()])
