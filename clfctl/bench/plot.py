"""What bench-data found as one picture: what an image costs, and what the loader feeds."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import StrMethodFormatter

from clfctl.bench.advice import by_cache
from clfctl.bench.rows import NONE, LoaderRow, Rates, Stage
from clfctl.storage.files import explained, replace_file

FORMATS = (".png", ".svg")
# Colours of Okabe and Ito, which stay apart for every kind of colour vision.
_BLUE, _VERMILION, _GREEN, _OTHERS = "#0072B2", "#D55E00", "#009E73", ("#CC79A7", "#E69F00", "#56B4E9")
_ROW_INCHES, _GAP_INCHES = 0.34, 1.5


def save_bench_plot(
    path: Path,
    title: str,
    stages: Sequence[Stage],
    rows: Sequence[LoaderRow],
    lines: Mapping[str, Rates],
) -> None:
    """Write bars of the stages above bars of the loader; `lines` are other rates to compare with, by their names.

    The suffix of `path` is one of FORMATS. Raises WriteError if it cannot be written.
    """
    heights = [len(stages) * _ROW_INCHES, len(rows) * _ROW_INCHES + 0.3 * (len(lines) > 0)]
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(8, sum(heights) + 2 * _GAP_INCHES), dpi=150, layout=layout)
    upper, lower = figure.subplots(2, 1, height_ratios=heights)
    _draw_stages(upper, stages)
    _draw_rows(lower, rows, lines)
    for axes in (upper, lower):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.25)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    figure.suptitle(title, fontsize=12)
    if lines or len(by_cache(rows)) > 1:
        figure.legend(*lower.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=3)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.lower()[1:])
    with explained(path):
        replace_file(path, [picture.getbuffer()])


def _draw_stages(axes: Axes, stages: Sequence[Stage]) -> None:
    costs = [1e6 * each.seconds for each in stages]
    bars = axes.barh(range(len(stages)), costs, color=_BLUE)
    axes.bar_label(
        bars, [f" {cost:,.0f} µs, {100 * each.share:.0f} %" for cost, each in zip(costs, stages, strict=True)]
    )
    _name_rows(axes, [each.name for each in stages])
    axes.set_xlim(0, 1.25 * max(costs))
    axes.set_xlabel("µs an image, in one thread")
    axes.set_title("What an image costs", loc="left")


def _draw_rows(axes: Axes, rows: Sequence[LoaderRow], lines: Mapping[str, Rates]) -> None:
    names: list[str] = []
    for color, (kind, of_kind) in zip((_BLUE, _VERMILION, _GREEN), by_cache(rows).items(), strict=False):
        places = range(len(names), len(names) + len(of_kind))
        rates = [row.rates for row in of_kind]
        medians = [each.median for each in rates]
        errors: Any = [[each.median - each.low for each in rates], [each.high - each.median for each in rates]]
        label = "without cache" if kind == NONE else f"cache: {kind}"
        axes.barh(places, medians, xerr=errors, color=color, label=label, error_kw={"capsize": 3, "alpha": 0.6})
        for place, each in zip(places, rates, strict=True):
            axes.text(max(each.high, each.median), place, f"  {each.median:,.0f}", va="center")
        names += [f"{row.workers} worker{'s' * (row.workers != 1)}" for row in of_kind]
    for color, (name, each) in zip(_OTHERS, lines.items(), strict=False):
        axes.axvline(each.median, color=color, linestyle="--", label=f"{name}: {each.median:,.0f}")
    _name_rows(axes, names)
    shown = [*(row.rates.high for row in rows), *(each.median for each in lines.values())]
    axes.set_xlim(0, 1.15 * max(shown))
    axes.set_xlabel("images/s (median; the line is the spread)")
    axes.set_title("What the loader feeds", loc="left")


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
