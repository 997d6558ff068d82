"""clfctl lr-preview: the learning rate over the epochs, from the object that training evaluates. No torch, no rich."""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clfctl.display.notes import note
from clfctl.display.preview_text import csv_lines, json_lines, kind_lines, plot_lines, seam_of, spans_of, table_lines
from clfctl.errors import UsageError
from clfctl.planning.plan import refuse_cautions
from clfctl.planning.preview import Track, tracks_of
from clfctl.settings.groups import OutputSettings, PlanSettings
from clfctl.settings.sources import Resolved
from clfctl.storage.files import explained, replace_file

FORMATS = ("plot", "table", "csv", "json")
PICTURES, TABLES = (".png", ".svg"), (".csv", ".json")
MAX_WIDTH = 200


@dataclass(frozen=True)
class PreviewOptions:
    """How a preview is shown: the options that no other command has.

    `steps_per_epoch` gives the learning rate of every batch in csv and json; `metrics` is what a schedule that follows
    a metric gets (see `read_metrics`); the suffix of `output` decides what is written.
    """

    subjects: Sequence[str] = ()
    format: str = "plot"
    output: Path | None = None
    steps_per_epoch: int | None = None
    metrics: str = ""
    log: bool = False


def list_kinds(output: OutputSettings) -> None:
    """Print every kind of schedule with its parameters."""
    if not output.quiet:
        print(*kind_lines(_width(), as_json=output.json_lines), sep="\n")


def lr_preview(resolved: Resolved[PlanSettings], output: OutputSettings, options: PreviewOptions) -> None:
    """Show the tracks of schedules or runs, in the terminal or in a file; warn of what is most likely a mistake."""
    _check(options)
    tracks = tracks_of(resolved, options.subjects, options.metrics, options.steps_per_epoch)
    for track in tracks:
        refuse_cautions(resolved.settings, track.plan)
    if options.output and options.output.suffix in PICTURES:
        _write_picture(options.output, tracks, options.log)
    elif options.output:
        lines = _lines(tracks, options.output.suffix[1:], options)
        with explained(options.output):
            replace_file(options.output, (f"{line}\n".encode() for line in lines))
    elif not output.quiet:
        style = "json" if output.json_lines else options.format
        sys.stdout.writelines(f"{line}\n" for line in _lines(tracks, style, options))
    deaf = [track.subject for track in tracks if options.metrics and not track.plan.schedule.follows_metrics]
    deaf = [f"Note: {subject} does not depend on metrics." for subject in deaf]
    written = [f"Wrote {options.output}"] if options.output else []
    cautions = dict.fromkeys(_caution(track, caution, tracks) for track in tracks for caution in track.plan.cautions)
    note(output, *written, *deaf, *cautions)


def _check(options: PreviewOptions) -> None:
    if options.format not in FORMATS:
        raise UsageError(f"--format: {options.format!r} is not allowed; it must be one of {', '.join(FORMATS)}")
    if options.output and options.output.suffix not in (*PICTURES, *TABLES):
        allowed = ", ".join((*PICTURES, *TABLES))
        raise UsageError(f"--output: {options.output} does not say what to write", f"its name must end in {allowed}")


def _write_picture(path: Path, tracks: Sequence[Track], log: bool) -> None:
    from clfctl.display.preview_plot import NamedCurve, save_preview  # matplotlib costs a second

    save_preview(
        path,
        [NamedCurve(track.name, track.points()) for track in tracks],
        log=log,
        epochs=max(track.epochs for track in tracks),
        spans=spans_of(tracks),
        title=tracks[0].name if len(tracks) == 1 else "",
        seam=seam_of(tracks),
    )


def _lines(tracks: Sequence[Track], style: str, options: PreviewOptions) -> Iterable[str]:
    match style:
        case "json":
            return json_lines(tracks, options.steps_per_epoch)
        case "csv":
            return csv_lines(tracks, options.steps_per_epoch)
        case "table":
            return table_lines(tracks, options.steps_per_epoch)
    return plot_lines(tracks, _width(), log=options.log, color=_has_color(), steps_per_epoch=options.steps_per_epoch)


def _caution(track: Track, caution: str, tracks: Sequence[Track]) -> str:
    # With one schedule there is nothing to tell apart.
    whose = f"{track.subject}: " if len({each.subject for each in tracks}) > 1 else ""
    return f"Warning: {whose}{caution}."


def _width() -> int:
    return min(shutil.get_terminal_size().columns, MAX_WIDTH)


def _has_color() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") != "dumb"
