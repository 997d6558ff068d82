"""A preview as it is asked for: a curve or a table in the terminal, lines for programs, or a file. No rich."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clfctl.display.output import PICTURES, Output
from clfctl.display.preview_text import csv_lines, json_lines, plot_lines, seam_of, stretches_of, table_lines
from clfctl.errors import UsageError
from clfctl.planning.preview.track import Track
from clfctl.storage.files import explained, replace_file
from clfctl.storage.names import plain

FORMATS = ("plot", "table", "csv", "json")
TABLES = (".csv", ".json")
MAX_WIDTH = 200


@dataclass(frozen=True)
class Look:
    """How tracks are shown: `format` in the terminal, or in a `file`, whose suffix decides what is written.

    With `each_batch` csv and json have a row for every batch, else for every epoch; `log` is of the rate's axis.
    """

    format: str = "plot"
    file: Path | None = None
    each_batch: bool = False
    log: bool = False


def check_look(look: Look) -> None:
    """Raise UsageError for a format that there is not, and for a file whose name does not say one."""
    if look.format not in FORMATS:
        allowed = ", ".join(FORMATS)
        raise UsageError(f"{look.format!r} is not allowed; it must be one of {allowed}", field="format")
    if look.file and look.file.suffix not in (*PICTURES, *TABLES):
        hint = "its name must end in " + ", ".join((*PICTURES, *TABLES))
        raise UsageError(f"cannot tell the format from {look.file}", hint, field="output")


def show_tracks(tracks: Sequence[Track], look: Look, output: Output, notes: Iterable[str] = ()) -> None:
    """Show tracks in the terminal, with `notes` beside them, or write a file. Raises WriteError where it cannot be."""
    if look.file:
        _write(look.file, tracks, look)
        output.note(f"Wrote {look.file}", *notes)
        return
    output.result(
        json=lambda: json_lines(tracks, each_batch=look.each_batch),
        plain=lambda: _lines(tracks, look, output),
        notes=notes,
    )


def _write(path: Path, tracks: Sequence[Track], look: Look) -> None:
    if path.suffix in PICTURES:
        _write_picture(path, tracks, look.log)
        return
    lines = (json_lines if path.suffix == ".json" else csv_lines)(tracks, each_batch=look.each_batch)
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
        quantity=tracks[0].quantity,
    )


def _lines(tracks: Sequence[Track], look: Look, output: Output) -> Iterator[str]:
    match look.format:
        case "json":
            return json_lines(tracks, each_batch=look.each_batch)
        case "csv":
            return csv_lines(tracks, each_batch=look.each_batch)
        case "table":
            return table_lines(tracks)
    return plot_lines(tracks, output.width(MAX_WIDTH), log=look.log, color=output.has_color)
