"""Curves as Vega-Lite, which the page draws itself, in its own colours, light or dark."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from clfctl.display.axes import y_axis

# Vermilion, green, purple, orange, sky blue of Okabe and Ito, which stay apart for every kind of colour vision, and a
# blue between their two that is seen on white and on black.
COLORS = ("#2E8BC0", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
HEIGHT = 320
# Vega takes a dot and brackets in a field's name for a path; these have neither.
X, Y, NAME = "x", "y", "curve"


@dataclass(frozen=True)
class Curve:
    """Points (x, y) under a name; those that are not finite leave a gap."""

    name: str
    points: Sequence[tuple[float, float]]


def chart(
    curves: Sequence[Curve],
    *,
    x: str = "epochs",
    y: str,
    log: bool = False,
    percent: bool = False,
    from_zero: bool = True,
    marked: float | None = None,
) -> dict[str, Any]:
    """Return the specification of a chart of curves; `x` and `y` name the axes, `marked` is the x of a dotted line.

    On a logarithmic axis what is 0 lies on its lower edge, as in the terminal. With `percent` y is a share.
    """
    limits = y_axis([y for curve in curves for _, y in curve.points if math.isfinite(y)], log, from_zero=from_zero)
    scale: dict[str, Any] = {"type": "log"} if limits.log else {"zero": from_zero}
    # A line on the upper edge would be half as thick.
    top = limits.high * 1.1 if limits.log else limits.high + 0.03 * (limits.high - limits.low)
    scale |= {"domain": [limits.low, top], "nice": False}
    names = [curve.name for curve in curves]
    axis: dict[str, Any] = {"title": y, "format": ".0%" if percent else "~g" if not limits.log else ".0e"}
    axis |= {"tickCount": 5, "labelFlush": False}
    horizontal = {"title": x, "tickCount": 8, "tickMinStep": 1, "format": "~g"}
    encoding = {
        "x": {"field": X, "type": "quantitative", "axis": horizontal, "scale": {"nice": False}},
        "y": {"field": Y, "type": "quantitative", "axis": axis, "scale": scale},
        "color": {
            "field": NAME,
            "type": "nominal",
            "scale": {"domain": names, "range": [COLORS[i % len(COLORS)] for i in range(len(names))]},
            "legend": {"orient": "bottom", "title": None, "columns": 1, "labelLimit": 280} if len(names) > 1 else None,
        },
        "tooltip": [
            {"field": NAME, "type": "nominal", "title": "curve"},
            {"field": X, "type": "quantitative", "title": x, "format": ".4~g"},
            {"field": Y, "type": "quantitative", "title": y, "format": ".1%" if percent else ".4~g"},
        ],
    }
    line = {"mark": {"type": "line", "strokeWidth": 2, "clip": True}, "encoding": encoding}
    return {
        "data": {"values": list(_rows(curves, limits.low if limits.log else None))},
        "height": HEIGHT,
        "layer": [line, *([_mark(marked)] if marked is not None else [])],
    }


def _rows(curves: Iterable[Curve], lowest: float | None) -> Iterable[dict[str, Any]]:
    for curve in curves:
        for x, y in curve.points:
            known = math.isfinite(x) and math.isfinite(y)
            shown = (y if lowest is None else max(y, lowest)) if known else None
            yield {X: x, Y: shown, NAME: curve.name}


def _mark(x: float) -> dict[str, Any]:
    return {"mark": {"type": "rule", "strokeDash": [4, 4], "opacity": 0.6}, "encoding": {"x": {"datum": x}}}
