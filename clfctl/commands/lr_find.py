"""clfctl lr-find: a learning rate by a range test, as curves, table, picture, csv or JSON."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from clfctl.api.finding import checked, find_of_run, find_of_training
from clfctl.commands.write_config import check_config, check_folder, write_into
from clfctl.display.find_text import csv_lines, plot_lines, table_lines
from clfctl.display.output import PICTURES, Output
from clfctl.engine.signals import stopping_at_once
from clfctl.errors import ClfctlError, UsageError, nearest
from clfctl.finding.found import RateFinding, record_of
from clfctl.finding.usual import MEANINGS
from clfctl.planning.changes import stated_in
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import TYPED, Resolved
from clfctl.storage.json_lines import dump_json

FORMATS = ("plot", "table", "csv", "json")
MAX_WIDTH = 200


@dataclass(frozen=True)
class FindOptions:
    """What only this command has: what is swept and how far, and what becomes of what is found."""

    run: Path | None
    start_lr: float
    end_lr: float
    steps: int
    repeats: int
    take: str
    format: str = "plot"
    output: Path | None = None
    write: Path | None = None


def lr_find(resolved: Resolved[TrainSettings], output: Output, options: FindOptions) -> None:
    """Find a rate and show how it was found; keep it in a file if asked to.

    Raises ClfctlError if it is to be kept and cannot be trusted: everything is shown before.
    """
    _check(options)
    extent = checked(options.start_lr, options.end_lr, options.steps, options.repeats)
    with stopping_at_once("nothing was changed"):
        to = output.onlookers()
        if options.run:
            found = find_of_run(options.run, stated_in(resolved), TYPED, extent, options.repeats, to, output.note)
        else:
            found = find_of_training(resolved, extent, options.repeats, to, output.note)
        output.result(
            json=lambda: [record_of(found)],
            plain=lambda: _lines(found, options, output),
        )
        output.note(*(f"Warning: {each}." for each in found.doubts), *(f"Note   {each}." for each in found.notes))
        if options.output:
            from clfctl.display.find_plot import save_find_plot

            save_find_plot(found, options.take, options.output)
            output.note(f"Wrote {options.output}")
        output.note(*_next(found, options))
        if options.write:
            _keep(found, options, options.write, output)


def _check(options: FindOptions) -> None:
    for field, value, allowed in (("format", options.format, FORMATS), ("take", options.take, tuple(MEANINGS))):
        if value not in allowed:
            what = f"{value!r} is not allowed; it must be one of {', '.join(allowed)}"
            raise UsageError(what, nearest(value, allowed), field=field)
    if options.output:
        if options.output.suffix.lower() not in PICTURES:
            hint = f"end it in {' or '.join(PICTURES)}"
            raise UsageError(f"cannot tell the format from {options.output}", hint, field="output")
        check_folder(options.output, "output")
    if options.write:
        check_config(options.write)


def _lines(found: RateFinding, options: FindOptions, output: Output) -> Iterable[str]:
    match options.format:
        case "csv":
            return csv_lines(found)
        case "json":
            return [dump_json(record_of(found))]
        case "table":
            return table_lines(found, options.take)
    return plot_lines(found, options.take, output.width(MAX_WIDTH), color=output.has_color)


def _next(found: RateFinding, options: FindOptions) -> Iterator[str]:
    """Yield what to type with the rate that was found; of a run a note says it, by what its schedule makes of it."""
    rate = found.rate(options.take)
    if rate is not None and found.is_trusted and not options.run:
        yield f"Next: clfctl train `lr={rate:g}`, with the other options as they are here"


def _keep(found: RateFinding, options: FindOptions, path: Path, output: Output) -> None:
    rate = found.rate(options.take)
    if rate is None or not found.is_trusted:
        why = found.doubts[0] if found.doubts else f"there is no {options.take} on these curves"
        raise ClfctlError(f"{path} is as it was: {why}", field="write")
    write_into(path, {"lr": rate}, output)
