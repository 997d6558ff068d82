"""clfctl lr-preview --what-if: the metrics of a run through other schedules, side by side. No torch, no rich."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from clfctl.display.output import PICTURES, Output
from clfctl.display.preview import MAX_WIDTH, Look, check_look
from clfctl.display.what_if_text import (
    outcome_words,
    what_if_csv,
    what_if_lines,
    what_if_records,
    what_if_table,
)
from clfctl.errors import UsageError
from clfctl.planning.what_if import WhatIf, what_if
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import Resolved
from clfctl.storage.files import explained, replace_file
from clfctl.storage.json_lines import dump_json
from clfctl.storage.names import plain


def show_what_if(
    resolved: Resolved[TrainSettings],
    output: Output,
    look: Look,
    run: Path,
    texts: Sequence[str],
    beside: Sequence[str] = (),
) -> None:
    """Show what schedules would have done on the metrics of a run, in the terminal or in a file.

    `beside` are options of other previews that were stated: it raises UsageError for them.
    """
    check_look(look)
    for field in beside:
        what = "beside `what_if=` it would change nothing: that shows the learning rate, on the metric of the run"
        raise UsageError(what, "leave one of the two out", field=field)
    found = what_if(resolved, run, texts)
    if look.file:
        _write(look.file, found, look)
        output.note(f"Wrote {look.file}")
    else:
        output.result(json=lambda: what_if_records(found), plain=lambda: _lines(found, look, output))
    output.note(*found.notes)


def _lines(found: WhatIf, look: Look, output: Output) -> Iterable[str]:
    match look.format:
        case "json":
            return map(dump_json, what_if_records(found))
        case "csv":
            return what_if_csv(found)
        case "table":
            return what_if_table(found)
    return what_if_lines(found, output.width(MAX_WIDTH), log=look.log, color=output.has_color)


def _write(path: Path, found: WhatIf, look: Look) -> None:
    if path.suffix not in PICTURES:
        lines = map(dump_json, what_if_records(found)) if path.suffix == ".json" else what_if_csv(found)
        with explained(path):
            replace_file(path, (f"{plain(line)}\n".encode() for line in lines))
        return
    from clfctl.display.preview_plot import NamedCurve, save_preview  # matplotlib costs a second

    names = [plain(outcome_words(each, is_run=not number)) for number, each in enumerate(found.outcomes)]
    curves = [NamedCurve(name, each.points) for name, each in zip(names, found.outcomes, strict=True)]
    save_preview(path, curves, log=look.log, epochs=len(found.values))
