"""The tests of maps as a small table, and what follows from them: for the terminal, plain lines and scripts."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clfctl.explaining.check import ALIKE, Check, Randomised
from clfctl.storage.names import plain

Checked = tuple[str, Check | None]  # the file of a network, and the tests of its maps
TITLES = ("test", "changed", "found", "")
_RESULTS = {True: "passed", False: "not passed", None: "not told"}
_STYLES = {"passed": "green", "not passed": "yellow", "not told": "yellow"}


def check_record(checked: Checked) -> dict[str, Any]:
    """Return the tests of a network's maps as JSON has them; `check` is null where no map has anything hot."""
    file, check = checked
    return {"model": file, "check": check.as_record() if check else None}


def print_checks(checks: Sequence[Checked], console: Console) -> None:
    """Print a table for each network, and what follows from it."""
    for file, check in checks:
        if len(checks) > 1:
            console.print(Text(plain(file), "bold"))
        if check:
            console.print(_table(check))
        for line in verdict((file, check)):
            console.print(Text(line))


def check_lines(checks: Sequence[Checked]) -> Iterator[str]:
    """Yield the same as lines, their cells two blanks apart."""
    for file, check in checks:
        if len(checks) > 1:
            yield plain(file)
        for row in rows_of(check) if check else ():
            yield "  ".join(filter(None, row))
        yield from verdict((file, check))


def rows_of(check: Check) -> list[tuple[str, str, str, str]]:
    """Return a row of cells, as TITLES name them, for each thing that was tried."""
    found = check.deletion
    what = f"more in {found.n_more}, less in {found.n_less} of {found.n_images}"
    rows = [
        ("deletion", "hottest tenth covered", f"probability {-found.hottest:+.3f}", ""),
        ("deletion", "same shape covered elsewhere", f"probability {-found.random:+.3f}", ""),
        ("deletion", what, f"p = {found.p:.2g}", _RESULTS[found.is_passed]),
    ]
    *others, last = check.randomised
    rows += [("new weights", each.what, _alike(each), "") for each in others]
    return [*rows, ("new weights", f"{last.what}: below {ALIKE:g}?", _alike(last), _RESULTS[last.is_passed])]


def verdict(checked: Checked) -> Iterator[str]:
    """Yield what follows from the tests of a network's maps, in sentences."""
    file, check = checked
    if check is None:
        yield f"Not tested: no map of {plain(file)} has anything hot."
        return
    if check.n_empty:
        yield f"Left out: {_images(check.n_empty)} on whose map nothing is hot."
    if check.is_passed:
        yield "The maps pass: what they show counts, and it was learned."
    if check.deletion.is_passed is None:
        told = _images(check.deletion.n_images)
        yield f"Not told: from {told} it cannot be told from chance whether what is hot counts for more."
    elif not check.deletion.is_passed:
        yield "Warning: what is hot counts for no more than what is not: the maps do not show what decides."
    if check.randomised[-1].is_passed is None:
        yield "Not told: with new weights no map has anything hot, so there is nothing to compare."
    elif not check.randomised[-1].is_passed:
        yield "Warning: a network that has learned nothing gives much the same maps: they do not show what was learned."


def _table(check: Check) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title in TITLES:
        table.add_column(title, overflow="fold", no_wrap=title == TITLES[0])
    before = ""
    for test, changed, found, result in rows_of(check):
        named = "" if test == before else test
        before = test
        table.add_row(Text(named), Text(changed), Text(found), Text(result, _STYLES.get(result, "")))
    return table


def _alike(found: Randomised) -> str:
    """Return how alike the maps are to those of the trained network, and of how many images if not of all."""
    share = "–" if found.correlation is None else f"{found.correlation:.2f}"
    return f"alike {share}" + (f" (of {found.n_images})" if found.n_constant else "")


def _images(n: int) -> str:
    return f"{n} image" if n == 1 else f"{n} images"
