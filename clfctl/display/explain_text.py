"""Explanations and layers as text: a table on a terminal, lines elsewhere, records for scripts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clfctl.explaining.explanation import Explanation
from clfctl.explaining.layers import Layer
from clfctl.storage.names import on_one_line

Row = tuple[Explanation, str]  # and what its files are called


def record_of(explanation: Explanation, name: str, folder: Path) -> dict[str, Any]:
    """Return an explanation as JSON has it, with the files that were written."""
    if explanation.error:
        return {"image": explanation.name, "error": explanation.error}
    return {
        "image": explanation.name,
        "class": explanation.class_name,
        "probability": explanation.probability,
        "predicted": explanation.predicted,
        "method": explanation.method,
        "layer": explanation.layer or None,
        "height": explanation.size[0],
        "width": explanation.size[1],
        "is_empty": explanation.is_empty,
        "overlay": str(folder / f"{name}.png"),
        "map": str(folder / f"{name}.npy"),
    }


def plain_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line an image."""
    for explanation, name in rows:
        yield ": ".join([on_one_line(explanation.name), "; ".join(filter(None, _cells(explanation, name)))])


def print_explained(rows: Sequence[Row], console: Console) -> None:
    """Print a row an image."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("image", overflow="fold", ratio=1)
    for title in ("class", "share"):
        table.add_column(title, justify="right" if title == "share" else "left", no_wrap=title == "share")
    table.add_column("files", overflow="fold")
    for explanation, name in rows:
        said, share, *rest = _cells(explanation, name)
        style = "red" if explanation.error else "yellow" if explanation.is_empty else None
        files = "; ".join(filter(None, rest))
        table.add_row(Text(on_one_line(explanation.name)), Text(said), Text(share), Text(files), style=style)
    console.print(table)


def _cells(explanation: Explanation, name: str) -> tuple[str, ...]:
    if explanation.error:
        return "not read", "", on_one_line(explanation.error)
    taken_for = "" if explanation.predicted == explanation.class_name else f"taken for {explanation.predicted}"
    empty = "nothing in it speaks for the class" if explanation.is_empty else ""
    share = f"{100 * explanation.probability:.1f} %"
    return on_one_line(explanation.class_name), share, on_one_line(f"{name}.png"), on_one_line(taken_for), empty


def layer_records(layers: Sequence[Layer], chosen: Layer) -> list[dict[str, Any]]:
    """Return layers as JSON has them."""
    return [_layer_record(each, chosen) for each in layers]


def _layer_record(layer: Layer, chosen: Layer) -> dict[str, Any]:
    return {
        "layer": layer.name,
        "names": layer.names,
        "channels": layer.layout.n_channels,
        "height": layer.layout.height,
        "width": layer.layout.width,
        "reaches": layer.reaches,
        "chosen": layer is chosen,
    }


def layer_lines(layers: Sequence[Layer], chosen: Layer) -> Iterator[str]:
    """Yield the stages and blocks of a network, a line each, with the size of their maps; the rest is in JSON."""
    shown = [each for each in layers if each.is_trunk or each is chosen]
    width = max(len(each.name) for each in shown)
    sizes = [str(each.layout) for each in shown]
    for each, size in zip(shown, sizes, strict=True):
        said = "no part of the answer" if not each.reaches else "looked at" if each is chosen else ""
        mark = "*" if each is chosen else " "
        yield f"{mark} {each.name.ljust(width)}  {size.rjust(max(map(len, sizes)))}  {said}".rstrip()
    if len(shown) < len(layers):
        yield f"  and {len(layers) - len(shown)} inside of these, which JSON lines have"
