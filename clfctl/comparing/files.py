"""A comparison of what runs' files tell: no torch, nothing is measured."""

from collections.abc import Sequence

from clfctl.comparing.comparison import Comparison, Side, order_of
from clfctl.comparing.entries import Entry, differences, names_of


def compare_files(entries: Sequence[Entry], sort: str) -> Comparison:
    """Return what the files of runs tell of them. Raises UsageError if they cannot be sorted so."""
    names = names_of(entries)
    sides = [Side(each, name, of_files(each), {}) for each, name in zip(entries, names, strict=True)]
    ordered = [sides[place] for place in order_of(sides, sort)]
    return Comparison(tuple(ordered), tuple(differences([each.entry for each in ordered])))


def of_files(entry: Entry) -> dict[str, float]:
    """Return what the history tells of the epoch that stands for a run."""
    if entry.settings is None:
        return {}
    epoch = entry.shown_epoch
    return {**(epoch.metrics if epoch else {}), "epochs": float(entry.epochs)}
