"""Sections of bench-data on standard output: tables with bars on a terminal, aligned text elsewhere, or JSON lines."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clfctl.bench.sections import Section
from clfctl.display.output import Output

MAX_BAR, MIN_BAR = 50, 6
BETWEEN = 3  # columns between two columns of a table
_EIGHTHS = " ▏▎▍▌▋▊▉"


def print_section(section: Section, output: Output) -> None:
    """Print a section in the way that the settings and standard output call for."""
    shown = section.spelled(output.spelled)
    output.result(
        json=lambda: shown.records,
        plain=lambda: [*plain_lines(shown), ""],
        rich=lambda console: print_on_terminal(shown, console),
    )


def plain_lines(section: Section) -> list[str]:
    """Return title, table and notes as lines of text."""
    table = [section.header, *section.rows] if section.header else []
    widths = [max(len(row[i]) for row in table) for i in range(len(section.header))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    return [*([section.title] if section.title else []), *lines, *section.notes]


def print_on_terminal(section: Section, console: Console) -> None:
    """Print title, table and notes; bars take what the table leaves of the width."""
    if section.title:
        console.print(Text(section.title, "bold"))
    if section.header:
        console.print(section_table(section, console.width))
    for note in section.notes:
        console.print(Text(note))
    console.print()


def section_table(section: Section, width: int) -> Table:
    """Return the table of a section for a terminal of `width` columns."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, title in enumerate(section.header):
        table.add_column(title, justify="right" if i else "left", no_wrap=True)
    columns = zip(section.header, *section.rows, strict=True)
    room = min(MAX_BAR, width - sum(max(map(len, column)) + BETWEEN for column in columns))
    has_bars = bool(section.bars) and room >= MIN_BAR
    if has_bars:
        table.add_column("", no_wrap=True)
    for number, row in enumerate(section.rows):
        bars = [Text(_bar(section.bars[number], room), "cyan")] if has_bars else []
        table.add_row(*map(Text, row), *bars)
    return table


def _bar(share: float, width: int) -> str:
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")
