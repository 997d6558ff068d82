"""clfctl lr-preview: the learning rate over the epochs, from the object that training evaluates. No torch, no rich."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clfctl.display.output import PICTURES, Output
from clfctl.display.preview_text import (
    csv_lines,
    json_lines,
    kind_lines,
    kind_records,
    plot_lines,
    seam_of,
    stretches_of,
    table_lines,
)
from clfctl.errors import UsageError
from clfctl.planning.plan import Plan, refuse_cautions
from clfctl.planning.preview import Track, read_metrics, tracks_of
from clfctl.settings.groups import PlanSettings, TrainSettings
from clfctl.settings.sources import Resolved, from_fields
from clfctl.storage.files import explained, replace_file
from clfctl.storage.names import plain

FORMATS = ("plot", "table", "csv", "json")
TABLES = (".csv", ".json")
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


def list_kinds(output: Output) -> None:
    """Print every kind of schedule with its parameters."""
    width = output.width(MAX_WIDTH)
    output.result(
        json=lambda: kind_records(output.spelled),
        plain=lambda: kind_lines(width, output.spelled),
    )


def lr_preview(resolved: Resolved[PlanSettings], output: Output, options: PreviewOptions) -> None:
    """Show the tracks of schedules or runs, in the terminal or in a file; warn of what is most likely a mistake."""
    _check(options)
    known = read_metrics(options.metrics, resolved.settings.monitor) if options.metrics else None
    tracks = tracks_of(resolved, options.subjects, known, options.steps_per_epoch)
    for track in tracks:
        refuse_cautions(resolved.settings, track.plan)
    if options.output:
        _write(options.output, tracks, options)
    else:
        about = _about_defaults(resolved, tracks[0].plan) if options.format == "plot" and not tracks[0].done else ()
        output.result(
            json=lambda: _lines(tracks, "json", options, output),
            plain=lambda: _lines(tracks, options.format, options, output),
            notes=about,
        )
    deaf = [track.subject for track in tracks if options.metrics and not track.plan.schedule.follows_metrics]
    deaf = [f"Note: {subject} does not depend on metrics." for subject in deaf]
    written = [f"Wrote {options.output}"] if options.output else []
    cautions = dict.fromkeys(_caution(track, caution, tracks) for track in tracks for caution in track.plan.cautions)
    notes = dict.fromkeys(each for track in tracks for each in track.notes)
    output.note(*written, *notes, *deaf, *cautions)


def _about_defaults(resolved: Resolved[PlanSettings], plan: Plan) -> Iterator[str]:
    """Yield a line where a curve is of general defaults, and training on the default data would have others."""
    of_data = from_fields(TrainSettings, {}).settings
    shown = {"lr": plan.base_lr, "epochs": plan.epochs}
    others = [
        f"`{name}={getattr(of_data, name):g}`"
        for name, value in shown.items()
        if resolved.origins[name] == "default" and value == getattr(resolved.settings, name) != getattr(of_data, name)
    ]
    if others:
        uses = " and ".join(others)
        yield f"Note: these are the defaults without data; training on {of_data.data}, the default, uses {uses}."


def _check(options: PreviewOptions) -> None:
    if options.format not in FORMATS:
        allowed = ", ".join(FORMATS)
        raise UsageError(f"{options.format!r} is not allowed; it must be one of {allowed}", field="format")
    if options.output and options.output.suffix not in (*PICTURES, *TABLES):
        allowed = ", ".join((*PICTURES, *TABLES))
        hint = f"its name must end in {allowed}"
        raise UsageError(f"cannot tell the format from {options.output}", hint, field="output")


def _write(path: Path, tracks: Sequence[Track], options: PreviewOptions) -> None:
    if path.suffix in PICTURES:
        _write_picture(path, tracks, options.log)
        return
    steps = options.steps_per_epoch
    lines = json_lines(tracks, steps) if path.suffix == ".json" else csv_lines(tracks, steps)
    with explained(path):
        replace_file(path, (f"{plain(line)}\n".encode() for line in lines))


def _write_picture(path: Path, tracks: Sequence[Track], log: bool) -> None:
    from clfctl.display.preview_plot import NamedCurve, save_preview  # matplotlib costs a second

    save_preview(
        path,
        [NamedCurve(plain(track.name), track.points()) for track in tracks],
        log=log,
        epochs=max(track.epochs for track in tracks),
        stretches=stretches_of(tracks),
        title=plain(tracks[0].name) if len(tracks) == 1 else "",
        seam=seam_of(tracks),
    )


def _lines(tracks: Sequence[Track], style: str, options: PreviewOptions, output: Output) -> Iterable[str]:
    steps = options.steps_per_epoch
    match style:
        case "json":
            return json_lines(tracks, steps)
        case "csv":
            return csv_lines(tracks, steps)
        case "table":
            return table_lines(tracks, steps)
    width = output.width(MAX_WIDTH)
    return plot_lines(tracks, width, log=options.log, color=output.has_color, steps_per_epoch=steps)


def _caution(track: Track, caution: str, tracks: Sequence[Track]) -> str:
    # With one schedule there is nothing to tell apart.
    whose = f"{track.subject}: " if len({each.subject for each in tracks}) > 1 else ""
    return f"Warning: {whose}{caution}."
