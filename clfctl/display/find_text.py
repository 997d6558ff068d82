"""A range test as text: curves and a table for people, csv for programs. No rich, no torch."""

import math
import textwrap
from collections.abc import Iterator, Sequence

from clfctl.display.curve import Points, draw_curve, format_lr
from clfctl.finding.found import RateFinding
from clfctl.finding.sweep import End, Sweep
from clfctl.finding.usual import MEANINGS

HEIGHT, TALL_HEIGHT, TALL_FROM = 15, 21, 120
# How far above the first losses a curve is drawn, as a share of the fall: what explodes would squeeze the rest.
ABOVE = 0.5
ENDS: dict[End, str] = {
    "diverged": "the loss exploded at",
    "not finite": "the loss was no number after",
    "at the end": "they ended at",
    "out of time": "the time was over at",
}


def plot_lines(found: RateFinding, take: str, width: int, *, color: bool) -> Iterator[str]:
    """Yield what was swept, the smoothed losses over the rate, and the rates that they suggest."""
    yield from textwrap.wrap(title_of(found.sweeps), width)
    rate = found.rate(take)
    yield from draw_curve(
        curves_of(found.sweeps),
        width,
        TALL_HEIGHT if width >= TALL_FROM else HEIGHT,
        marker=None if rate is None else math.log10(rate),
        x_label="lr",
        x_text=lambda x: format_lr(10**x),
        color=color,
    )
    yield from table_lines(found, take, width)


def title_of(sweeps: Sequence[Sweep]) -> str:
    """Return how many sweeps there were, and how they ended."""
    extent, n = sweeps[0].extent, len(sweeps)
    ends = dict[str, list[str]]()
    for each in sweeps:
        ends.setdefault(ENDS[each.end], []).append(f"{each.rates[-1]:.2g}")
    many = "sweep" if n == 1 else "sweeps"
    what = f"Smoothed loss in {n} {many} of at most {extent.n_steps} steps, from {format_lr(extent.start_lr)}"
    return f"{what}: " + "; ".join(f"{end} {', '.join(dict.fromkeys(rates))}" for end, rates in ends.items())


def curves_of(sweeps: Sequence[Sweep]) -> list[Points]:
    """Return each sweep's points (log10 of the rate, smoothed loss), cut off where the loss explodes."""
    top = ceiling(sweeps)
    return [
        [(math.log10(rate), min(mean, top)) for rate, mean in zip(each.rates, each.means, strict=True)]
        for each in sweeps
    ]


def ceiling(sweeps: Sequence[Sweep]) -> float:
    """Return the largest smoothed loss that is drawn."""
    firsts = [each.means[: max(1, each.extent.n_first)] for each in sweeps]
    first, least = max(map(max, firsts)), min(min(each.means) for each in sweeps)
    return first + ABOVE * (first - least) if first > least else 2 * first + 1


def table_lines(found: RateFinding, take: str, width: int = 10**6) -> Iterator[str]:
    """Yield each suggestion with how far the sweeps differ, and what it is; `▲` marks the one that is taken."""
    several = len(found.sweeps) > 1
    rows = [
        (
            f"{'▲' if each.name == take else ' '} {each.name}",
            f"{each.lr:.2g}",
            f"{each.low:.2g} to {each.high:.2g}" if several else "",
            each.meaning,
        )
        for each in found.suggestions
    ]
    titles = ("  rate", "lr", "sweeps" if several else "", "what it is")
    widths = [max(len(row[n]) for row in [titles, *rows]) for n in range(3)]
    for row in [titles, *rows] if rows else ():
        cells = f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  " + (f"{row[2]:<{widths[2]}}  " if several else "")
        yield from textwrap.wrap(row[3], max(20, width), initial_indent=cells, subsequent_indent=" " * len(cells)) or [
            cells.rstrip()
        ]
    for name in MEANINGS.keys() - {each.name for each in found.suggestions} if rows else ():
        yield f"  {name}: none on these curves"


def csv_lines(found: RateFinding) -> Iterator[str]:
    """Yield a header, and a row for each step of each sweep."""
    yield "sweep,seed,step,lr,loss,smoothed"
    for number, sweep in enumerate(found.sweeps, 1):
        for step, (rate, loss, mean) in enumerate(zip(sweep.rates, sweep.losses, sweep.means, strict=True)):
            yield f"{number},{sweep.seed},{step},{rate!r},{loss!r},{mean!r}"
