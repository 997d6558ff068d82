"""The library's face of a comparison; see `clfctl.api`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clfctl import api
from clfctl.api.notes import Notes
from clfctl.comparing.comparison import Comparison, check_sort
from clfctl.comparing.entries import read_entries
from clfctl.errors import UsageError
from clfctl.settings.groups import EvalSettings
from clfctl.settings.sources import from_fields

if TYPE_CHECKING:
    from clfctl.data.onlookers import Onlookers

CHECKPOINTS = ("best", "last")


def compare(runs: Sequence[Path | str], *, measure: bool = True, sort: str = "", **fields: Any) -> Comparison:
    """Put two or more runs beside each other: settings, metrics, and what they say of the same images.

    Without `measure` only what their files tell is compared, and no torch is needed. `sort` is a number by its name,
    such as `"top1"`, `"latency_ms"` or `"val_loss"`: the best run is first. `fields` are those of `evaluate`: `data`,
    `split`, `checkpoint`, `tta`, `device`, `batch_size`. Nothing is written.
    """
    notes = Notes()
    options = from_fields(EvalSettings, fields).settings
    found = compared([Path(run) for run in runs], options, notes.onlookers(), measure=measure, sort=sort)
    return replace(found, notes=tuple(dict.fromkeys((*notes.lines, *found.notes))))


def compared(runs: Sequence[Path], options: EvalSettings, to: "Onlookers", *, measure: bool, sort: str) -> Comparison:
    """Compare runs as the settings say; `to` is told what is worth knowing of each. See `compare`."""
    check_sort(sort)
    if options.checkpoint not in CHECKPOINTS:
        hint = "name a checkpoint file in the place of its run to compare that"
        raise UsageError(f"{options.checkpoint!r} is not best or last", hint, field="checkpoint")
    entries = read_entries(runs)
    if not measure:
        from clfctl.comparing.files import compare_files

        return compare_files(entries, sort)
    measured = [api.measured(each.path, options, to) for each in entries]
    from clfctl.comparing.compare import compare_measured
    from clfctl.engine.as_it_was import as_it_was

    with as_it_was(options.device or "auto"):
        return compare_measured(entries, measured, sort)
