"""A batch whose loss was not finite, computed again, for the terminal and as JSON."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from clfctl.display.curve import format_lr
from clfctl.display.wrapping import print_sentence
from clfctl.storage.names import plain

if TYPE_CHECKING:
    from clfctl.engine.debug_batch import Replay

N_IMAGES = 10
N_BEFORE = 6


def print_replay(console: Console, found: "Replay", spelled: Callable[[str], str]) -> None:
    """Print where the batch was, what came of it, and the images with the largest losses."""
    for line in lines_of(found):
        print_sentence(console, spelled(line))
    console.print()
    console.print(_images(found))


def lines_of(found: "Replay") -> Iterator[str]:
    """Yield what is to be said of a batch, a line each."""
    record, n = found.record, found.n_steps_before
    where = f"epoch {record.epoch + 1}, batch {record.batch + 1} of {record.n_batches}, step {record.step + 1}"
    yield f"Batch   {where}: the {record.what} was no longer finite"
    yield f"Rates   {', '.join(f'{name} {format_lr(rate)}' for name, rate in record.rates.items())}"
    yield f"Before  losses {_numbers(record.losses)}; norms of the gradient {_numbers(record.gradient_norms)}"
    yield f"State   {_state(n)}"
    if found.bad_weights:
        yield f"Weights {_first(found.bad_weights)} not finite before the batch is seen"
    yield f"Loss    {found.loss:.4g} in this state"
    yield _layers(found)
    norms = (f"{each.group} {_norm(each.norm, each.bad_parameter)}" for each in found.groups)
    yield f"Norms   of the gradient: {', '.join(norms)}"
    if math.isfinite(found.loss) and n > 0:
        yield "Note    in this state all is well, so it comes of the steps since: `exact=True` makes them again"


def as_json(found: "Replay") -> dict[str, Any]:
    """Return all of it as JSON can hold it."""
    record = found.record
    images = [{"image": image.name, "class": found.classes[image.label], "loss": loss} for image, loss in found.images]
    bad = found.first_bad
    return {
        "what": record.what,
        "epoch": record.epoch + 1,
        "batch": record.batch + 1,
        "step": record.step + 1,
        "rates": dict(record.rates),
        "losses_before": list(record.losses),
        "gradient_norms_before": list(record.gradient_norms),
        "steps_before": found.n_steps_before,
        "loss": found.loss,
        "bad_weights": list(found.bad_weights),
        "first_bad_layer": bad._asdict() if bad else None,
        "largest_activation": {"layer": found.largest[0], "value": found.largest[1]},
        "gradients": [each._asdict() for each in found.groups],
        "images": images,
    }


def _state(n: int) -> str:
    if not n:
        return "the very one that the step had"
    steps = f"{abs(n)} {'step' if abs(n) == 1 else 'steps'}"
    return f"the last checkpoint, {steps} {'before' if n > 0 else 'after'} it"


def _layers(found: "Replay") -> str:
    bad, (layer, value) = found.first_bad, found.largest
    largest = f"the largest value is {value:.3g}, in {layer}"
    if bad is None:
        return f"Layers  all outputs are finite; {largest}"
    since = "its input was finite" if bad.came_in else "its input was not finite either"
    what = f"{bad.n_bad:,} of {bad.n_values:,} outputs are not finite, and {since}"
    return f"Layers  first {bad.layer} ({bad.kind}): {what}; {largest}"


def _images(found: "Replay") -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("loss", justify="right", no_wrap=True)
    table.add_column("class", overflow="fold")
    table.add_column("image", overflow="fold")
    for image, loss in found.images[:N_IMAGES]:
        style = "" if math.isfinite(loss) else "red"
        table.add_row(f"{loss:.4g}", plain(found.classes[image.label]), plain(image.name), style=style)
    if len(found.images) > N_IMAGES:
        table.add_row("…", "", f"and {len(found.images) - N_IMAGES} with smaller losses")
    return table


def _norm(norm: float, bad_parameter: str) -> str:
    return f"not finite, first in {bad_parameter}" if bad_parameter else f"{norm:.3g}"


def _numbers(values: Sequence[float]) -> str:
    shown = [f"{each:.3g}" for each in values[-N_BEFORE:]]
    return ", ".join(["…", *shown] if len(values) > N_BEFORE else shown) or "none"


def _first(names: Sequence[str]) -> str:
    return f"{names[0]}{f' and {len(names) - 1} others are' if names[1:] else ' is'}"
