"""Learning-rate curves as a picture, PNG or SVG: what `lr-preview --output` writes and the documents show."""

import io
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from clfctl.display.axes import Axis, y_axis
from clfctl.display.curve import Stretch, format_lr
from clfctl.errors import UsageError
from clfctl.planning.quantities import LEARNING_RATE, Quantity
from clfctl.storage.files import explained, replace_file

# Blue, vermilion, green, purple, orange, sky blue of Okabe and Ito, which stay apart for every kind of colour vision.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_WIDTH_INCHES, _HEIGHT_INCHES, _LEGEND_ROW_INCHES = 7.2, 4.0, 0.2
_DPI = 150
# The drawing is the same for every user and every run: no matplotlibrc, no random ids. Text stays text, which is a
# quarter of the size of outlines, can be searched and is read aloud.
_STYLE: Any = {
    "svg.hashsalt": "clfctl",
    "svg.fonttype": "none",
    "font.size": 9.5,
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "text.parse_math": False,
}
_UNDATED: dict[str, dict[str, str | None]] = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}
# Share of the width or height that a thinned-out line may be off: a tenth of a pixel.
_TOLERANCE = 1e-4
# Of the width and the height of the plot: a letter, a row of text, the words at the seam.
_CHARACTER_SHARE, _ROW_SHARE, _SEAM_WIDTH = 0.013, 0.06, 0.15


@dataclass(frozen=True)
class NamedCurve:
    """A curve of (time in epochs, learning rate) and its name in the legend."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def save_preview(
    path: Path,
    curves: Sequence[NamedCurve],
    *,
    log: bool,
    epochs: float,
    stretches: Sequence[Stretch] = (),
    title: str = "",
    seam: float | None = None,
    quantity: Quantity = LEARNING_RATE,
) -> None:
    """Write the curves over `epochs` into `path`, as PNG or SVG by its suffix; the same curves give the same bytes.

    On a logarithmic axis rates of 0 lie on the lower edge. Points that are not finite leave a gap. `stretches` are
    shaded and labelled, `seam` is the epoch of a line "resumed here", `quantity` what the curves are of. Raises
    UsageError for another suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in _UNDATED:
        raise UsageError(f"{path}: a picture of curves is a .png or .svg file", "name the file so")
    with style.context(["default", _STYLE]):
        names = [curve.name for curve in curves] if len(curves) > 1 else []
        n_columns = max(1, min(len(names), 100 // (max(map(len, names), default=0) + 8)))
        height = _HEIGHT_INCHES + _LEGEND_ROW_INCHES * math.ceil(len(names) / n_columns)
        figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DPI, layout="constrained", facecolor="white")
        axes = figure.subplots()
        left = min([0.0, *(x for curve in curves for x, _ in curve.points if math.isfinite(x))])
        right = max([epochs, *(x for curve in curves for x, _ in curve.points if math.isfinite(x))])
        axes.set_xlim(left, right if right > left else left + 1)
        _set_rates(axes, curves, log, quantity)
        n_rows = _draw_stretches(axes, stretches)
        for index, curve in enumerate(curves):
            _draw_curve(axes, curve, index)
        if seam is not None:
            _draw_seam(axes, seam)
        _dress(axes, title, n_rows, quantity)
        if names:
            figure.legend(loc="outside lower center", ncols=n_columns, frameon=False, handlelength=2.6)
        picture = io.BytesIO()
        figure.savefig(picture, format=suffix[1:], metadata=_UNDATED[suffix])
    with explained(path):
        replace_file(path, [picture.getbuffer()])


def _set_rates(axes: Axes, curves: Sequence[NamedCurve], log: bool, quantity: Quantity) -> None:
    rates = [y for curve in curves for _, y in curve.points if math.isfinite(y)]
    limits = y_axis(rates, log, from_zero=quantity.from_zero)
    if limits.log:
        room = (limits.high / limits.low) ** 0.04
        axes.set_yscale("log")
        axes.set_ylim(limits.low if limits.more_below else limits.low / room, limits.high * room)
        few = limits.high / limits.low < 1e3
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=12))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(limits.low, limits.low + (limits.high - limits.low) * 1.04)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: _rate_text(rate, limits)))


def _rate_text(rate: float, limits: Axis) -> str:
    at_the_edge = limits.more_below and math.isclose(rate, limits.low)
    return ("≤" if at_the_edge else "") + format_lr(rate)


def _draw_curve(axes: Axes, curve: NamedCurve, index: int) -> None:
    low, high = axes.get_ylim()
    xs: list[float] = []
    ys: list[float] = []
    for finite, run in itertools.groupby(curve.points, key=lambda point: all(map(math.isfinite, point))):
        if finite:
            points = thinned([(x, max(y, low)) for x, y in run], axes.get_xlim(), (low, high), axes.get_yscale())
            xs += [*(x for x, _ in points), math.nan]
            ys += [*(y for _, y in points), math.nan]
    # Clipped, a line on the edge of the plot would be half as thick.
    axes.plot(
        xs[:-1],
        ys[:-1],
        linestyle="--" if curve.dashed else "-" if index < len(_COLORS) else "-.",
        color=_COLORS[index % len(_COLORS)],
        label=curve.name,
        linewidth=1.8,
        solid_joinstyle="round",
        clip_on=False,
        zorder=3,
    )


def thinned(
    points: Sequence[tuple[float, float]], xlim: tuple[float, float], ylim: tuple[float, float], scale: str
) -> list[tuple[float, float]]:
    """Return the points without those that lie, to a tenth of a pixel, on the line between their neighbours.

    One pass: from the last point kept, the slopes that stay near all points since are known; a point outside ends it.
    """
    shape = math.log if scale == "log" else float
    bottom, height = shape(ylim[0]), shape(ylim[1]) - shape(ylim[0])
    kept = list(points[:1])
    anchor = last = (0.0, 0.0)
    lowest, highest = -math.inf, math.inf
    for i, (x, y) in enumerate(points):
        place = (x - xlim[0]) / (xlim[1] - xlim[0]), (shape(y) - bottom) / height
        if i > 0:
            dx, dy = place[0] - anchor[0], place[1] - anchor[1]
            if dx <= 0 or not lowest <= dy / dx <= highest:
                if i > 1:
                    kept.append(points[i - 1])
                anchor, lowest, highest = last, -math.inf, math.inf
                dx, dy = place[0] - anchor[0], place[1] - anchor[1]
            if dx > 0:
                lowest, highest = max(lowest, (dy - _TOLERANCE) / dx), min(highest, (dy + _TOLERANCE) / dx)
            else:  # a vertical step ends here
                lowest, highest = math.inf, -math.inf
        else:
            anchor = place
        last = place
    return kept + list(points[-1:]) if len(points) > 1 else kept


def _draw_stretches(axes: Axes, stretches: Sequence[Stretch]) -> int:
    """Shade every other part and write above each what it is called; return the rows of text that this took."""
    left, right = axes.get_xlim()
    inside = [each for each in stretches if each.start < right and each.end > left and each.start <= each.end]
    inside = [Stretch(each.label, max(left, each.start), min(right, each.end)) for each in inside]
    inside.sort(key=lambda each: each.start)
    for index, stretch in enumerate(inside):
        alpha = 0.10 if index % 2 == 0 else 0.03
        axes.axvspan(stretch.start, stretch.end, color="#5b6b7f", alpha=alpha, linewidth=0, zorder=0)
    labels = list(_placed_labels(inside, left, right))
    for x, row, text in labels:
        y = 1.015 + _ROW_SHARE * row
        axes.text(x, y, text, transform=axes.get_xaxis_transform(), ha="left", va="bottom", color="#444444")
    return max((row + 1 for _, row, _ in labels), default=0)


def _placed_labels(stretches: Sequence[Stretch], left: float, right: float) -> Iterator[tuple[float, int, str]]:
    """Yield x, row from below and text of the labels that have room.

    Over its part, in the middle, if that is wide enough; else from its start, over what is free of the next part or
    in a row above.
    """
    character = (right - left) * _CHARACTER_SHARE
    widths = [len(stretch.label) * character for stretch in stretches]
    wanted = [
        max(left, min(stretch.start + max(0.0, (stretch.end - stretch.start - width) / 2), right - width))
        for stretch, width in zip(stretches, widths, strict=True)
    ]
    free_from = [left, left]
    for index, (stretch, width, x) in enumerate(zip(stretches, widths, wanted, strict=True)):
        fits = width <= stretch.end - stretch.start
        following = wanted[index + 1] if index + 1 < len(stretches) else right + character
        for row in range(2):
            if x >= free_from[row] and (fits or row > 0 or x + width + character <= following):
                free_from[row] = x + width + character
                yield x, row, stretch.label
                break


def _draw_seam(axes: Axes, seam: float) -> None:
    """Draw the line "resumed here", with its words in a corner beside it where no curve passes, if there is one."""
    left, right = axes.get_xlim()
    to_shares = axes.transData + axes.transAxes.inverted()
    curves = [to_shares.transform(line.get_xydata()).tolist() for line in axes.lines]
    x = (seam - left) / (right - left)
    places = [(x + side, y) for y in (0.91, 0.02) for side in (0.01, -_SEAM_WIDTH - 0.01)]
    inside = [place for place in places if 0 <= place[0] <= 1 - _SEAM_WIDTH] or places[:1]
    free = [place for place in inside if not any(_passes(curve, *place) for curve in curves)]
    axes.axvline(seam, color="#444444", linestyle=":", linewidth=1.2, zorder=2)
    axes.text(
        *(free or inside)[0],
        "resumed here",
        transform=axes.transAxes,
        color="#444444",
        bbox=None if free else {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
        zorder=4,
    )


def _passes(curve: Sequence[tuple[float, float]], left: float, bottom: float) -> bool:
    """Return whether a curve crosses the words at this place; all in shares of the plot."""
    for (x0, y0), (x1, y1) in itertools.pairwise(curve):
        start, end = max(left, min(x0, x1)), min(left + _SEAM_WIDTH, max(x0, x1))
        if start > end:
            continue
        ys = [y0 + (y1 - y0) * (x - x0) / (x1 - x0) for x in (start, end)] if x1 > x0 else [y0, y1]
        if min(ys) < bottom + _ROW_SHARE and max(ys) > bottom - 0.02:
            return True
    return False


def _dress(axes: Axes, title: str, n_rows: int, quantity: Quantity) -> None:
    axes.set_xlabel("epochs")
    axes.set_ylabel(quantity.words)
    left, right = axes.get_xlim()
    axes.xaxis.set_major_locator(MaxNLocator(integer=right - left > 4, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title, pad=8 + 13 * n_rows)
