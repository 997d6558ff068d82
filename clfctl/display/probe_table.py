"""What a probe found, network by network: a table on a terminal, lines elsewhere."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clfctl.display.epochs import format_time
from clfctl.display.wrapping import print_sentence
from clfctl.probing.found import Probed, best_of, difference

TITLES = ("network", "size", "parameters", "features/s", "k-NN", "probe", "95 % interval", "time")
# What a narrow terminal does without, first to last; nothing is cut or wrapped.
LEFT_OUT = ("features/s", "parameters", "size", "time", "k-NN")
GAP = 2


def cells(probed: Probed) -> tuple[str, ...]:
    """Return a network's row."""
    low, high = probed.top1_interval.low, probed.top1_interval.high
    rate = "kept" if probed.features_per_s is None else f"{probed.features_per_s:.0f}"
    return (
        probed.model,
        str(probed.image_size),
        f"{probed.n_parameters / 1e6:.1f} M",
        rate,
        f"{100 * probed.neighbours:.1f} %",
        f"{100 * probed.top1:.1f} %",
        f"{100 * low:.1f} to {100 * high:.1f} %",
        format_time(probed.seconds),
    )


def print_table(found: Sequence[Probed], console: Console) -> None:
    """Print a row a network, the best in green; a narrow terminal gets fewer columns."""
    best, rows = best_of(found), [cells(each) for each in found]
    kept = _kept(rows, console.width)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0), header_style="bold")
    for number in kept:
        table.add_column(TITLES[number], justify="right" if number else "left", overflow="fold")
    for each, row in zip(found, rows, strict=True):
        style = "green" if each is best and len(found) > 1 else None
        table.add_row(*(Text(row[number]) for number in kept), style=style)
    console.print(table)
    for line in verdict(found):
        print_sentence(console, line)


def _kept(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the numbers of the columns that fit."""
    widths = [max(map(len, column)) for column in zip(TITLES, *rows, strict=True)]
    kept = list(range(len(TITLES)))
    for title in LEFT_OUT:
        if sum(widths[number] for number in kept) + GAP * (len(kept) - 1) <= width:
            break
        kept.remove(TITLES.index(title))
    return kept


def plain_lines(found: Sequence[Probed]) -> Iterator[str]:
    """Yield a line a network, and which of several to take."""
    for each in found:
        yield "  ".join(f"{title} {cell}" for title, cell in zip(TITLES, cells(each), strict=True))
    yield from verdict(found)


def verdict(found: Sequence[Probed]) -> Iterator[str]:
    """Yield which of several networks to take, and whether the next best is really worse."""
    if len(found) < 2:
        return
    best = best_of(found)
    others = sorted((each for each in found if each is not best), key=lambda each: -each.top1)
    for other in others[:2]:
        gap = difference(best, other)
        by = f"{100 * gap.by:+.1f} points of accuracy, 95 % interval {100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
        clear = "" if gap.is_clear else "; so few images cannot tell them apart: take the faster"
        yield f"{best.model} against {other.model}: {by}{clear}."
