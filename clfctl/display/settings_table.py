"""Settings with the source of each, and the curve that they make: what a dry run prints."""

from collections.abc import Callable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clfctl.display.curve import draw_curve
from clfctl.display.wrapping import print_sentence
from clfctl.engine.describe import GroupRow
from clfctl.planning.quantities import Quantity
from clfctl.settings.base import panel_of
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import Resolved
from clfctl.settings.words import value_in_words

CURVE_HEIGHT = 12
MAX_WIDTH = 100


def print_dry_run(
    console: Console,
    resolved: Resolved[TrainSettings],
    curves: Mapping[Quantity, Sequence[tuple[float, float]]],
    groups: Sequence[GroupRow],
    description: Sequence[str],
    spelled: Callable[[str], str],
) -> None:
    """Print settings, curves, param groups and the description lines, as `spelled` writes them."""
    console.print(settings_table(resolved, spelled))
    console.print()
    for quantity, curve in curves.items():
        console.print(quantity.words.capitalize(), style="bold")
        lines = draw_curve([curve], min(console.width, MAX_WIDTH), CURVE_HEIGHT, from_zero=quantity.from_zero)
        for line in lines:
            console.print(Text(line, no_wrap=True))
        console.print()
    console.print(groups_table(groups))
    console.print()
    for line in description:
        print_sentence(console, spelled(line))


def groups_table(groups: Sequence[GroupRow]) -> Table:
    """Return name, size, peak learning rate, weight decay and beginning of every param group."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("param group", no_wrap=True)
    for name in ("parameters", "peak rate", "weight decay", "trained"):
        table.add_column(name, justify="right")
    for row in groups:
        begins = "never" if row.starts_at is None else f"from epoch {row.starts_at + 1}"
        values = (f"{row.n_parameters:,}", f"{row.peak_lr:.3g}", f"{row.weight_decay:g}", begins)
        table.add_row(row.name, *values, style="dim" if row.starts_at is None else "")
    return table


def settings_table(resolved: Resolved[TrainSettings], spelled: Callable[[str], str]) -> Table:
    """Return option, value and source of every setting, under the names of their panels."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    panels: dict[str, list[str]] = {}
    for name in type(resolved.settings).model_fields:
        panels.setdefault(panel_of(type(resolved.settings), name), []).append(name)
    for panel, names in panels.items():
        table.add_row(Text(panel, "bold"))
        for name in names:
            value = value_in_words(getattr(resolved.settings, name))
            origin = resolved.origins[name]
            style = "dim" if origin == "default" else "green"
            table.add_row("  " + spelled(f"`{name}=`"), Text(value), Text(origin), style=style)
    return table
