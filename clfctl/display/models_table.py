"""Models as a table for the terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clfctl.display.models_text import in_millions, in_pixels, in_tags
from clfctl.models.listing import Model


def print_models(models: Sequence[Model], console: Console) -> None:
    """Print a table of the models."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("model", overflow="fold")
    for title in ("parameters", "pixels"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("pretrained", overflow="fold")
    table.add_column("here", no_wrap=True)
    for model in models:
        here = Text("yes" if model.cached else "", "green")
        table.add_row(Text(model.name), in_millions(model), in_pixels(model), Text(in_tags(model)), here)
    console.print(table)
