"""What other schedules would have done on the metrics of a run, as text, side by side. No rich."""

import csv
import io
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from clfctl.display.curve import draw_curve, format_lr, letter_of, paint
from clfctl.planning.what_if import Outcome, WhatIf

HEIGHT, MAX_ROWS, MAX_ACTS = 15, 24, 8
CAVEAT = "The metric is that of the run: under another schedule it would have been another from its first act on."


def what_if_lines(found: WhatIf, width: int, *, log: bool, color: bool) -> Iterator[str]:
    """Yield the curves, what each schedule would have done, and a table of the epochs in which something happens."""
    for number, outcome in enumerate(found.outcomes):
        head = f"{letter_of(number)}  "
        lines = textwrap.wrap(
            head + outcome_words(outcome, is_run=not number), width, subsequent_indent=" " * len(head)
        )
        yield from (paint(line, number) if color else line for line in lines)
    yield from draw_curve([each.points for each in found.outcomes], width, HEIGHT, log=log, letters=True, color=color)
    yield from what_if_table(found, MAX_ROWS)
    yield from textwrap.wrap(CAVEAT, width)


def outcome_words(outcome: Outcome, *, is_run: bool) -> str:
    """Return what a schedule would have done, in a sentence."""
    if outcome.is_smooth:
        acts = "falls all along"
    elif outcome.acts:
        acts = f"{'acted' if is_run else 'acts'} after {_epochs(outcome.acts)}"
    elif outcome.rises:
        acts = "never lowers it"
    else:
        acts = "never acted" if is_run else "never acts"
    if outcome.rises and not outcome.is_smooth:
        acts += f", raises it after {_epochs(outcome.rises)}"
    half = "" if outcome.halved is None else f", at half of its rate after epoch {outcome.halved}"
    return f"{outcome.name}: {acts}{half}{'' if is_run else saved_words(outcome)}"


def _epochs(numbers: Sequence[int]) -> str:
    more = f", … ({len(numbers)} times)" if len(numbers) > MAX_ACTS else ""
    return f"epoch{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:MAX_ACTS]))}{more}"


def saved_words(outcome: Outcome) -> str:
    """Return how many epochs a schedule would have saved, in words after a comma; empty if that is not known."""
    words = ""
    if outcome.saved is not None:
        n = abs(outcome.saved)
        epochs = f"{n} epoch{'' if n == 1 else 's'}"
        words = f": {epochs} {'saved' if outcome.saved > 0 else 'later'}" if n else ", as the run"
    return words if outcome.ends is None else f"{words}; early stopping ends it after epoch {outcome.ends}"


def what_if_table(found: WhatIf, max_rows: int | None = None) -> Iterator[str]:
    """Yield the metric and the rate of each schedule at the end of every epoch, or of those in which one acts."""
    n_epochs = len(found.values)
    shown = range(n_epochs)
    if max_rows is not None and n_epochs > max_rows:
        acts = [n for each in found.outcomes if not each.is_smooth for n in each.acts]
        # The epoch that made a schedule act, and the first at the new rate.
        wanted = {0, n_epochs - 1, *(each for n in acts for each in (n - 1, n) if each < n_epochs)}
        spread = {round(i * (n_epochs - 1) / (max_rows - 1)) for i in range(max_rows)}
        shown = sorted(wanted if len(wanted) >= max_rows // 2 else wanted | spread)[: 3 * max_rows]  # type: ignore[assignment]
    width = max(10, len(found.metric))
    letters = [f"{letter_of(n)} at end" for n in range(len(found.outcomes))]
    yield f"epoch  {found.metric:>{width}}  " + "  ".join(f"{letter:>10}" for letter in letters)
    for epoch in shown:
        cells = "  ".join(f"{_cell(each, epoch):>10}" for each in found.outcomes)
        yield f"{epoch + 1:>5}  {found.values[epoch]:>{width}.4f}  {cells}"


def what_if_csv(found: WhatIf) -> Iterator[str]:
    """Yield a header and a row for every epoch: the metric, and the rate of each schedule at its end."""
    rows = [["epoch", found.metric, *(each.name for each in found.outcomes)]]
    rows += [
        [str(n + 1), repr(value), *(repr(each.rates[n][1]) for each in found.outcomes)]
        for n, value in enumerate(found.values)
    ]
    for row in rows:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="").writerow(row)
        yield buffer.getvalue()


def what_if_records(found: WhatIf) -> Iterator[dict[str, Any]]:
    """Yield an object for the run and each schedule, as JSON can hold it."""
    for number, each in enumerate(found.outcomes):
        yield {
            "schedule": each.name,
            "is_run": not number,
            "metric": found.metric,
            "values": list(found.values),
            "lr": [end for _, end in each.rates],
            "acts_after": list(each.acts),
            "rises_after": list(each.rises),
            "halved_after": each.halved,
            "epochs_saved": each.saved,
            "stopped_after": each.ends,
        }


def _cell(outcome: Outcome, epoch: int) -> str:
    mark = "" if outcome.is_smooth else "▾" * (epoch + 1 in outcome.acts) + "▴" * (epoch + 1 in outcome.rises)
    return f"{format_lr(outcome.rates[epoch][1])}{mark}"
