"""An evaluation as pictures: the confusion matrix and the reliability diagram."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from clfctl.evaluation.calibration import Calibration
from clfctl.evaluation.metrics import Metrics
from clfctl.storage.files import explained, replace_file

# Of Okabe and Ito: right answers in blue, mistakes in vermilion, for every kind of colour vision.
_RIGHT, _WRONG, _BEYOND = "#0072B2", "#D55E00", "#56B4E9"
_RIGHT_RGB, _WRONG_RGB = (0, 114, 178), (213, 94, 0)
# What stands for the colour of the text around an SVG, dark or light; no other colour is this one.
INK = "#010203"
_STYLE: Any = {"svg.hashsalt": "clfctl", "svg.fonttype": "none", "text.parse_math": False, "font.size": 9.5}
_IN_TEXT: Any = dict.fromkeys(
    ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), INK
) | {"figure.facecolor": "none", "axes.facecolor": "none", "legend.framealpha": 0.0}
_MAX_NAMED, _MAX_COUNTED, _MAX_NAME = 120, 25, 22


@contextmanager
def drawing(*, in_text: bool = False) -> Iterator[None]:
    """Draw the same for every user, whatever their matplotlibrc; `in_text`: for `svg_of`."""
    with style.context(["default", _STYLE, *([_IN_TEXT] if in_text else [])]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # a box is drawn in its place
        yield


def svg_of(figure: Figure, label: str) -> str:
    """Return a figure made while `drawing(in_text=True)` as an <svg> to stand in HTML, in the colour of its text.

    `label` is read to those who do not see it; it must need no escaping.
    """
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def save_figure(path: Path, figure: Figure, dpi: int = 150) -> None:
    """Write a figure as PNG. Raises WriteError."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=dpi, metadata={"Software": None})
    with explained(path):
        replace_file(path, [picture.getbuffer()])


def confusion_figure(metrics: Metrics, ink: str = "black") -> Figure:
    """Return the confusion matrix, a row a true class, coloured by the share of its images.

    Up to 25 classes with counts, up to 120 with names; of more the picture alone is shown, a pixel or more a cell.
    """
    counts, names = metrics.confusion, [_short(each.name) for each in metrics.classes]
    n = len(names)
    cell = 0.5 if n <= 12 else max(0.36, 6 / n) if n <= _MAX_COUNTED else 0.15 if n <= _MAX_NAMED else 10 / n
    longest = max(map(len, names)) if n <= _MAX_NAMED else 5
    size = 6.5 if n > _MAX_COUNTED else 9.5
    side = max(2.4, cell * n) + 0.011 * size * longest + 0.8
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(_colored(shares), interpolation="nearest", aspect="equal")
    if n <= _MAX_COUNTED:
        _write_counts(axes, counts, shares, ink)
    if n <= _MAX_NAMED:
        axes.set_xticks(range(n), names, rotation=90 if n > 4 or longest > 8 else 0, fontsize=size)
        axes.set_yticks(range(n), names, fontsize=size)
        axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=ink, alpha=0.15, linewidth=0.5)
        axes.tick_params(which="minor", length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    return figure


def reliability_figure(calibration: Calibration, ink: str = "black") -> Figure:
    """Return the reliability diagram: how often answers of a confidence are right, over how many there are."""
    figure = Figure(figsize=(4.4, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    middles = [(each.low + each.high) / 2 for each in calibration.bins]
    width = 0.92 * (calibration.bins[0].high - calibration.bins[0].low)
    upper.plot([0, 1], [0, 1], "--", color=ink, alpha=0.6, linewidth=1.2, label="perfect")
    # What is right down to the confidence, and what is missing to it or beyond it.
    accuracies = [each.accuracy for each in calibration.bins]
    confidences = [each.confidence for each in calibration.bins]
    common = list(map(min, accuracies, confidences))
    upper.bar(middles, common, width, color=_RIGHT, label="right")
    for values, color, label in ((confidences, _WRONG, "too sure"), (accuracies, _BEYOND, "not sure enough")):
        upper.bar(middles, np.subtract(values, common), width, common, color=color, alpha=0.75, label=label)
    upper.set_ylabel("share that is right")
    upper.set_ylim(0, 1)
    upper.set_xlim(0, 1)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8, handlelength=1.6, columnspacing=1.2)
    n_images = sum(each.n for each in calibration.bins)
    lower.bar(middles, [each.n / n_images for each in calibration.bins], width, color=_RIGHT, alpha=0.6)
    lower.set_ylabel("images")
    lower.set_xlabel("confidence")
    for axis in (upper.xaxis, upper.yaxis, lower.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _colored(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (C, C, 4) in [0, 1]: blue on the diagonal, vermilion beside it; clear where there is nothing.

    Even the least share is seen: among a hundred classes a confusion of 4 % is a lot.
    """
    picture = np.zeros((*shares.shape, 4))
    picture[..., :3] = np.array(_WRONG_RGB) / 255
    np.einsum("iik->ik", picture)[:, :3] = np.array(_RIGHT_RGB) / 255
    picture[..., 3] = np.where(shares > 0, 0.15 + 0.85 * np.sqrt(shares), 0)
    return picture


def _write_counts(axes: Any, counts: NDArray[np.int64], shares: NDArray[np.float64], ink: str) -> None:
    size = 9 if len(counts) <= 12 else 7
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = "white" if shares[row, column] > 0.35 else ink
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=color, fontsize=size)


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
