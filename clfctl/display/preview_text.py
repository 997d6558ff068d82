"""Previews of learning rates as text: curve and table for people, csv and JSON lines for programs. No rich."""

import csv
import io
import math
import textwrap
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any, NamedTuple

from clfctl.display.curve import Stretch, draw_curve, format_lr, letter_of, paint
from clfctl.planning.preview.batches import Batches
from clfctl.planning.preview.parameter import OfGroup
from clfctl.planning.preview.track import Track
from clfctl.schedules.catalog import KINDS, summary_of
from clfctl.schedules.parameters import parameters_of
from clfctl.schedules.sampling import MAX_POINTS
from clfctl.settings.schedule import default_in_words
from clfctl.storage.json_lines import dump_json

HEIGHT, TALL_HEIGHT, TALL_FROM = 15, 21, 120
MAX_ROWS = 16
# Columns of the table of epochs: of a rate, and of one where there is room.
CELL, WIDE_CELL = 8, 11
# The end of an epoch is looked at a moment before it, where a warmup is not quite at its top.
SAME = 1e-6


def plot_lines(tracks: Sequence[Track], width: int, *, log: bool, color: bool) -> Iterator[str]:
    """Yield what each track is, the curves, and a table of the epochs in which something happens."""
    several = len(tracks) > 1
    yield from _titles(tracks, width, color)
    height = TALL_HEIGHT if width >= TALL_FROM else HEIGHT
    yield from draw_curve(
        [track.points() for track in tracks],
        width,
        height,
        marker=seam_of(tracks),
        log=log,
        stretches=stretches_of(tracks),
        letters=several,
        color=color,
        from_zero=tracks[0].quantity.from_zero,
    )
    for track in tracks:
        yield from _seam_line(track, several)
    yield from _table(tracks, MAX_ROWS, width)


def stretches_of(tracks: Sequence[Track]) -> list[Stretch]:
    """Return the stretches to be shown apart: those of the one subject that there is, if it has several."""
    segments = tracks[0].segments if len({(track.subject, track.segments) for track in tracks}) == 1 else ()
    return [Stretch(each.label, each.start, each.end) for each in segments] if len(segments) > 1 else []


def seam_of(tracks: Sequence[Track]) -> float | None:
    """Return the time from which the one run that is shown goes on, whatever the ways in which it may."""
    is_one = len({(track.subject, track.begins) for track in tracks}) == 1
    return tracks[0].begins if is_one and tracks[0].seam() else None


def table_lines(tracks: Sequence[Track]) -> Iterator[str]:
    """Yield a table with a row for every epoch."""
    if len(tracks) > 1:
        yield from _titles(tracks, 10**6, color=False)
    yield from _table(tracks, None, 10**6)


def csv_lines(tracks: Sequence[Track], *, each_batch: bool) -> Iterator[str]:
    """Yield a header and the rows, one for every epoch or for every batch, then with what a run's optimizer had."""
    is_applied = any(track.applied for track in tracks)
    applied = ",applied" if is_applied else ""
    value = tracks[0].quantity.name
    yield f"schedule,epoch,batch,{value}{applied}" if each_batch else f"schedule,epoch,{value}_start,{value}_end"
    for track in tracks:
        name = _quoted(track.name)
        if not each_batch:
            yield from (f"{name},{epoch},{start!r},{end!r}" for epoch, start, end in track.rates())
            continue
        for some in track.batches():
            ends = [f",{lr!r}" for lr in some.applied or ()]
            yield _batch_lines(some, f"{name},{some.epoch},", ",", repr, "," if is_applied else "", ends)


def json_lines(tracks: Sequence[Track], *, each_batch: bool) -> Iterator[str]:
    """Yield JSON objects, one for every epoch or for every batch, then with what a run's optimizer had."""
    for track in tracks:
        value = track.quantity.name
        for epoch, start, end in () if each_batch else track.rates():
            yield dump_json({"schedule": track.name, "epoch": epoch, f"{value}_start": start, value: end})
        for some in track.batches() if each_batch else ():
            # By hand: a million calls of json take longer than all the rest.
            head = dump_json({"schedule": track.name, "epoch": some.epoch})[:-1] + ', "batch": '
            ends = [f', "applied": {_number(lr)}}}' for lr in some.applied or ()]
            written = repr if all(map(math.isfinite, some.rates)) else dump_json
            yield _batch_lines(some, head, f', "{value}": ', written, "}", ends)


def _batch_lines(
    some: Batches, head: str, between: str, written: Callable[[float], str], end: str, ends: Sequence[str]
) -> str:
    """Return a line for each of some batches: head, number, what is between, the rate, and an end or its own of `ends`.

    What is the same in all of them is put in by one call for all: a million lines are to take no second.
    """
    numbers, rates = _numbers(some.first, len(some.rates), between), some.rates
    if ends:
        return "\n".join([f"{head}{n}{written(lr)}{own}" for n, lr, own in zip(numbers, rates, ends, strict=True)])
    if rates.count(rates[0]) == len(rates):
        rate = written(rates[0]) + end
        return head + f"{rate}\n{head}".join(numbers) + rate
    return head + f"{end}\n{head}".join([n + rate for n, rate in zip(numbers, map(written, rates), strict=True)]) + end


@lru_cache(maxsize=8)
def _numbers(first: int, n: int, after: str) -> list[str]:
    """Return so many numbers from `first` on, each with what comes after it: the same in every epoch."""
    return [f"{number}{after}" for number in range(first, first + n)]


def _number(lr: float) -> str:
    return repr(lr) if math.isfinite(lr) else dump_json(lr)


def kind_records(spelled: Callable[[str], str]) -> Iterator[dict[str, Any]]:
    """Yield every kind of schedule as JSON can hold it: what it does, and its parameters with their options."""
    for name, kind in KINDS.items():
        parameters = [
            {"name": p.name, "option": spelled(f"`{p.option}=`") if p.option else p.option, "accepts": p.accepts,
             "default": p.default, "help": p.help}
            for p in parameters_of(kind)
        ]  # fmt: skip
        yield {"name": name, "summary": summary_of(kind), "parameters": parameters}


def kind_lines(width: int, spelled: Callable[[str], str]) -> Iterator[str]:
    """Yield every kind of schedule: what it does, and its parameters with options, limits and defaults."""
    for name, kind in KINDS.items():
        yield f"{name}: {summary_of(kind)}"
        for p in parameters_of(kind):
            option = f" ({spelled(f'`{p.option}=`')})" if p.option and p.option != p.name else ""
            text = f"{p.name}{option} = {default_in_words(p.default)}: {p.help[0].lower()}{p.help[1:-1]}; {p.accepts}"
            yield from textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="        ")
        yield ""
    yield "torch:CLASS(…), timm:CLASS(…): Any other scheduler of theirs, stepped once an epoch or every=batch."
    mixed = "linear(start=0.1):2 > cosine(eta_min=1e-5):20 > plateau"
    yield f"Several, one after the other, each with its epochs: {mixed}"


def _titles(tracks: Sequence[Track], width: int, color: bool) -> Iterator[str]:
    several = len(tracks) > 1
    for number, track in enumerate(tracks):
        text = f"{track.name}: {_base(track)}, {track.epochs} epochs"
        text = text if not track.done else f"{text}, {track.done} of them trained"
        head = f"{letter_of(number)}  " if several else ""
        lines = textwrap.wrap(head + text, width, subsequent_indent=" " * len(head)) or [head]
        yield from (paint(line, number) if color and several else line for line in lines)


def _base(track: Track) -> str:
    """Return what a curve is a curve of, in words."""
    base = f"base {track.quantity.words} {format_lr(track.plan.base_lr)}"
    if not isinstance(track.plan.schedule, OfGroup):
        return base
    group = track.plan.schedule.group
    share = base if group.share == 1 else f"{group.share:.3g} of the {base}"
    if group.starts_at is None:
        return "never trained"
    return f"{share}, from epoch {group.starts_at + 1} on" if group.starts_at else share


def _seam_line(track: Track, several: bool) -> Iterator[str]:
    if not (seam := track.seam()):
        return
    old, new = seam
    whose = f"{track.name}: " if several else ""
    is_same = math.isclose(old, new, rel_tol=1e-9)
    change = "goes on at" if is_same else "goes on from"
    jump = format_lr(new) if is_same else f"{format_lr(old)} to {format_lr(new)}{_factor(old, new)}"
    yield f"{whose}▲ after epoch {track.begins:.4g} the {track.quantity.words} {change} {jump}"


def _factor(old: float, new: float) -> str:
    return f" ({new / old:.3g} times)" if old and new else ""


class _Row(NamedTuple):
    """The cells of an epoch, and its rate at the end: what the next row is compared with."""

    epoch: int
    cells: tuple[str, ...]
    end: float


def _table(tracks: Sequence[Track], max_rows: int | None, width: int) -> Iterator[str]:
    """Yield the rows: for one track start, end and change of each epoch, for several the end of each epoch.

    Tracks for which the terminal is too narrow follow below the others.
    """
    n_epochs = max(track.epochs for track in tracks)
    # The epochs on both sides of a seam are what a run is looked at for.
    seam = {tracks[0].done - 1, tracks[0].done} if seam_of(tracks) else set[int]()
    groups: Iterable[tuple[_Row, _Row]]
    if max_rows is None:
        groups = ((row, row) for row in _rows(tracks, range(n_epochs)))
    elif n_epochs > MAX_POINTS:
        spread = {round(i * (n_epochs - 1) / (max_rows - 1)) for i in range(max_rows)}
        groups = ((row, row) for row in _rows(tracks, sorted(spread | seam)))
    else:
        groups = _groups([*_rows(tracks, range(n_epochs))], max_rows, seam)
    alone = len(tracks) == 1
    title = tracks[0].quantity.title
    one = (f"{title} at start", f"{title} at end", "change")
    titles = one if alone else tuple(f"{letter_of(n)} at end" for n in range(len(tracks)))
    head = max(len("epoch"), len(f"{n_epochs}–{n_epochs}"))
    narrow, wide = max(CELL, *map(len, titles)), max(WIDE_CELL, *map(len, titles))
    fits = head + len(titles) * (wide + 2) <= width
    cell_width = wide if alone or fits else narrow
    n_fit = len(titles) if alone or fits else max(1, (width - head) // (cell_width + 2))
    if n_fit < len(titles):
        groups = [*groups]
    for begin in range(0, len(titles), n_fit):
        shown: float | None = None
        yield _line("epoch", titles[begin : begin + n_fit], head, cell_width)
        for first, last in groups:
            epochs = str(first.epoch + 1) if first == last else f"{first.epoch + 1}–{last.epoch + 1}"
            # Against the row above, whether or not epochs between them are left out.
            cells = (*first.cells, _change(shown, first.end)) if alone else first.cells[begin : begin + n_fit]
            shown = last.end
            yield _line(epochs, cells, head, cell_width).rstrip()


def _line(epochs: str, cells: Iterable[str], head: int, width: int) -> str:
    return f"{epochs:>{head}}  " + "  ".join(f"{cell:>{width}}" for cell in cells)


def _rows(tracks: Sequence[Track], epochs: Sequence[int]) -> Iterator[_Row]:
    """Yield the row of each of some epochs, counted from 0, as they are asked for."""
    columns = [track.rates(epochs[: bisect_left(epochs, track.epochs)]) for track in tracks]
    for epoch, rates in zip(epochs, zip_longest(*columns), strict=True):
        if len(tracks) == 1:
            _, start, end = rates[0]
            yield _Row(epoch, (_cell(start, tracks[0]), _cell(end, tracks[0])), end)
        else:
            ends = [each and _cell(each[2], track) for each, track in zip(rates, tracks, strict=True)]
            yield _Row(epoch, tuple(each or "" for each in ends), 0.0)


def _groups(rows: Sequence[_Row], max_rows: int, kept: Collection[int]) -> list[tuple[_Row, _Row]]:
    """Return (first, last) of the epochs to show: those that look the same together, no more than fit, and the kept."""
    groups = list[tuple[_Row, _Row]]()
    for row in rows:
        if groups and row.cells == groups[-1][0].cells:
            groups[-1] = groups[-1][0], row
        else:
            groups.append((row, row))
    if len(groups) <= max_rows:
        return groups
    chosen = {round(i * (len(groups) - 1) / (max_rows - 1)) for i in range(max_rows)}
    return [
        (first, last)
        for number, (first, last) in enumerate(groups)
        if number in chosen or any(first.epoch <= epoch <= last.epoch for epoch in kept)
    ]


def _cell(lr: float, track: Track) -> str:
    # A moment before its end a curve to 0 is not there yet.
    return format_lr(lr if lr > SAME * SAME * track.plan.base_lr else 0.0)


def _change(before: float | None, after: float) -> str:
    if before is None or abs(after - before) <= SAME * abs(before):
        return ""
    if not before:
        return "from 0"
    return f"{100 * (after / before - 1):+.3g} %"


def _quoted(text: str) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([text])
    return buffer.getvalue()
