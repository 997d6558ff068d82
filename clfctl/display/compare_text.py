"""A comparison of runs for the terminal, and as plain lines for files and pipes."""

import math
from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from clfctl.comparing.choice import p_words
from clfctl.comparing.comparison import Comparison, Side
from clfctl.comparing.pairs import Pair
from clfctl.display.compare_tables import NONE, Row, cut, number_rows
from clfctl.display.curve import draw_curve, letter_of
from clfctl.display.epochs import WIDE
from clfctl.display.marks import style_of
from clfctl.evaluation.metrics import Metrics

_GAP = 2
# A cell of a table of settings or numbers, at least, and the first column.
_CELL, _HEAD = 16, 18
CURVES = {"val_top1": "validation accuracy", "val_loss": "validation loss"}
_HEIGHT, _MOST_CURVE = 11, 96
_MOST_PAIRS = 10


def print_comparison(comparison: Comparison, top: int, console: Console, spelled: Callable[[str], str]) -> None:
    """Print the tables and curves; at most `top` confusions. `spelled` writes settings as the user knows them."""
    for part in parts_of(comparison, top, console.width, spelled, color=not console.no_color and console.is_terminal):
        console.print(part)


def parts_of(
    comparison: Comparison, top: int, width: int, spelled: Callable[[str], str], *, color: bool = False
) -> Iterator[RenderableType]:
    """Yield what is shown on a terminal of `width` columns, from the runs to the one to deploy. Only names are cut."""
    sides = comparison.sides
    yield from (_name_line(place, side, width) for place, side in enumerate(sides))
    rows = [Row(spelled(f"`{each.name}=`") if each.is_setting else each.name.replace("_", " "), each.words())
            for each in comparison.different]  # fmt: skip
    yield _titled("What differs in their making" if rows else "All settings are the same", _blocks(rows, width))
    if comparison.common:
        common = comparison.common
        which = "" if common.split == "all" else f"{common.split} "
        title = f"On the same {common.n:,} {which}images of {common.data}"
    else:
        title = "As their histories have it"
    yield _titled(title, _blocks(number_rows(sides), width, justify="right"))
    yield from _curves(sides, width, color=color)
    if comparison.common:
        yield _titled("Who is right where the other is wrong", [_pairs(comparison.pairs)])
        metrics = comparison.common.metrics
        if confused := confusion_rows(metrics, top):
            title = "Confusions that they differ in most (true → taken for), images"
            yield _titled(title, _blocks(confused, width, justify="right", head=28))
        if matrices := _matrices(metrics, width):
            yield _titled("Confusion matrices, a row a true class", [matrices])
    if comparison.choice:
        yield Text()
        yield Text(f"Deploy {sides[comparison.choice.run].name}", "bold green")
        yield from (Text(f"  {sentence}.") for sentence in comparison.choice.why)


def plain_lines(comparison: Comparison, top: int, spelled: Callable[[str], str]) -> Iterator[str]:
    """Yield the same as lines of words two blanks apart; what belongs to a run follows its name."""
    sides = comparison.sides
    names = [each.name for each in sides]
    for each in comparison.different:
        title = spelled(f"`{each.name}=`") if each.is_setting else each.name.replace("_", " ")
        yield "  ".join(["differs", title, *map(_with_name, names, each.words())])
    for row in number_rows(sides):
        yield "  ".join([row.title, *map(_with_name, names, row.cells)]).replace(NONE, "-")
    for pair in comparison.pairs:
        first, second = names[pair.first], names[pair.second]
        yield (
            f"pair  {first} / {second}  only the first right {pair.only_first}  only the second {pair.only_second}"
            f"  both {pair.both}  neither {pair.neither}  difference {_points(pair)}  p {p_words(pair.p)}"
            + (f"  Holm {p_words(pair.p_holm)}" if len(comparison.pairs) > 1 else "")
        )
    if comparison.common:
        for row in confusion_rows(comparison.common.metrics, top):
            yield "  ".join(["confused", row.title.replace("→", "->"), *map(_with_name, names, row.cells)])
    if comparison.choice:
        yield "  ".join([f"deploy  {names[comparison.choice.run]}", *comparison.choice.why])


def confusion_rows(metrics: Sequence[Metrics], top: int) -> list[Row]:
    """Return the confusions in whose number the runs differ most, with the number of each, at most `top`."""
    counts: dict[tuple[str, str], list[int]] = {}
    for place, each in enumerate(metrics):
        for confusion in each.confused():
            counts.setdefault((confusion.true, confusion.predicted), [0] * len(metrics))[place] = confusion.n
    spread = sorted(counts.items(), key=lambda pair: min(pair[1]) - max(pair[1]))
    rows = [(pair, numbers) for pair, numbers in spread if len({*numbers}) > 1][:top]
    return [Row(f"{true} → {predicted}", [str(n) for n in numbers]) for (true, predicted), numbers in rows]


def _with_name(name: str, cell: str) -> str:
    return f"{name}: {cell}"


def _titled(title: str, below: Sequence[RenderableType]) -> RenderableType:
    return Group(Text(), Text(title, "bold"), *below)


def _name_line(place: int, side: Side, width: int) -> Text:
    entry = side.entry
    tail = f"  {entry.about}"
    line = Text.assemble(
        (letter_of(place), _color(place)), " ", (cut(side.name, max(12, width - len(tail) - 2)), "bold")
    )
    return line.append(tail if len(tail) + len(line) <= width else tail[: max(0, width - len(line))])


def _color(place: int) -> str:
    """Return Rich's name for the colour that the curve of a run has."""
    return f"bold color({style_of(place).rpartition(';')[2]})"


def _blocks(rows: Sequence[Row], width: int, *, justify: "str" = "left", head: int = _HEAD) -> list[RenderableType]:
    """Return a table with a column a run; where there is no room for all, several, one below the other."""
    if not rows:
        return []
    n_runs = len(rows[0].cells)
    head = min(head, max(len(row.title) for row in rows))
    head = max(head, min(max(len(row.title) for row in rows), width // 3))
    longest = max(_CELL - _GAP, max(len(cell) for row in rows for cell in row.cells))
    free = width - head
    room = max(_CELL, min(longest + _GAP, free // min(n_runs, max(1, free // _CELL))))
    n_each = max(1, free // room)
    tables = []
    for start in range(0, n_runs, n_each):
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP, 0, 0))
        table.add_column("", width=head, no_wrap=True)
        places = range(start, min(start + n_each, n_runs))
        for place in places:
            header = Text(letter_of(place), _color(place))
            table.add_column(header, justify="right" if justify == "right" else "left", no_wrap=True)
        for row in rows:
            cells = [
                Text(cut(row.cells[place], room - _GAP), "bold green" if place == row.best else "") for place in places
            ]
            table.add_row(cut(row.title, head), *cells)
        tables.append(table)
    spaced: list[RenderableType] = [each for table in tables for each in (table, Text())]
    return spaced[:-1]


def _curves(sides: Sequence[Side], width: int, *, color: bool) -> Iterator[RenderableType]:
    drawn = []
    for name, title in CURVES.items():
        series = [[(each.epoch, each.metric(name)) for each in side.entry.history] for side in sides]
        if any(math.isfinite(y) for points in series for _, y in points):
            drawn.append((title, series))
    if not drawn:
        return
    is_wide = width >= WIDE and len(drawn) > 1
    room = min(_MOST_CURVE, (width - 4) // 2 if is_wide else width)
    pictures = [
        Group(
            Text(title, "bold"),
            *(
                Text.from_ansi(line, no_wrap=True)
                for line in draw_curve(series, room, _HEIGHT, letters=True, color=color, from_zero=False)
            ),
        )
        for title, series in drawn
    ]
    yield Text()
    if is_wide:
        grid = Table.grid(padding=(0, 4, 0, 0))
        grid.add_row(*pictures)
        yield grid
        return
    for place, picture in enumerate(pictures):
        yield Group(Text(), picture) if place else picture


def _pairs(pairs: Sequence[Pair]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("", no_wrap=True)
    corrected = len(pairs) > 1
    titles = ("only 1st", "only 2nd", "both", "neither", "points (95 %)", "p", *(("Holm",) if corrected else ()))
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    shown = sorted(pairs, key=lambda each: each.p_holm)[:_MOST_PAIRS]
    for pair in sorted(shown, key=lambda each: (each.first, each.second)):
        counts = (pair.only_first, pair.only_second, pair.both, pair.neither)
        style = "bold" if pair.is_told_apart else ""
        name = f"{letter_of(pair.first)}, {letter_of(pair.second)}"
        values = [pair.p, pair.p_holm] if corrected else [pair.p]
        cells = [Text(each, style) for each in (_points(pair), *map(p_words, values))]
        table.add_row(name, *(f"{n:,}" for n in counts), *cells)
    return table


def _points(pair: Pair) -> str:
    low, high = 100 * pair.interval.low, 100 * pair.interval.high
    return f"{100 * pair.difference:+.1f} ({low:+.1f} to {high:+.1f})"


def _matrices(metrics: Sequence[Metrics], width: int) -> RenderableType | None:
    """Return the confusion matrices beside each other, as far as that fits; None where one alone does not."""
    tables = []
    for place, each in enumerate(metrics):
        names = [item.name for item in each.classes]
        longest = min(10, max(map(len, names)))
        cell = max(len(str(each.confusion.max())), min(longest, 4))
        if longest + 2 + (cell + 1) * len(names) > width:
            return None
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", collapse_padding=True)
        table.add_column(Text(letter_of(place), _color(place)), no_wrap=True)
        for name in names:
            table.add_column(cut(name, cell), justify="right", no_wrap=True, min_width=cell)
        for row, name in enumerate(names):
            cells = [_count(int(n), is_right=row == column) for column, n in enumerate(each.confusion[row])]
            table.add_row(cut(name, longest), *cells)
        tables.append(table)
    return Columns(tables, padding=(1, 4))


def _count(n: int, *, is_right: bool) -> Text:
    return Text(str(n) if n else "·", "blue" if is_right else "bold red" if n else "dim")
