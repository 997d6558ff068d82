"""clfctl lr-preview: the learning rate over the epochs, from the object that training evaluates. No torch, no rich.

Subjects become tracks (planning/preview/), tracks are shown (display/preview.py). What else a preview answers has a
file of its own beside these.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from clfctl.display.output import Output
from clfctl.display.preview import MAX_WIDTH, Look, check_look, show_tracks
from clfctl.display.preview_text import kind_lines, kind_records
from clfctl.errors import UsageError
from clfctl.planning.plan import refuse_cautions
from clfctl.planning.preview.asked import Asked, about_defaults, ask
from clfctl.planning.preview.track import Track
from clfctl.planning.preview.tracks import tracks_of
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import Resolved


def list_kinds(output: Output) -> None:
    """Print every kind of schedule with its parameters."""
    width = output.width(MAX_WIDTH)
    output.result(
        json=lambda: kind_records(output.spelled),
        plain=lambda: kind_lines(width, output.spelled),
    )


def lr_preview(
    resolved: Resolved[TrainSettings],
    output: Output,
    look: Look,
    *,
    subjects: Sequence[str] = (),
    metrics: str = "",
    steps_per_epoch: int | None = None,
    parameter: str = "lr",
    extend: str = "",
) -> None:
    """Show the tracks of schedules or runs, in the terminal or in a file; warn of what is most likely a mistake.

    `metrics` is what a schedule that follows a metric gets (see `read_metrics`), `parameter` what is drawn: a name of
    `QUANTITIES`; `extend` is the one way in which a run goes on for longer.
    """
    check_look(look)
    asked = replace(ask(resolved, subjects, metrics, steps_per_epoch, output.note, parameter), extend=extend)
    if extend and not asked.folders:
        hint = "name its folder, and with `epochs=` how many it is to have"
        raise UsageError("it is of a run that is made longer, and there is none", hint, field="extend")
    if asked.is_measured:
        from clfctl.engine.estimate import measured  # torch

        asked = measured(asked, output.note)
    if asked.needs_groups:
        from clfctl.engine.model_groups import with_groups  # torch

        asked = with_groups(asked)
    tracks = tracks_of(asked)
    for track in tracks:
        refuse_cautions(asked.settings, track.plan)
    show_tracks(tracks, look, output, about_defaults(asked))
    output.note(*dict.fromkeys((*asked.notes, *_notes(asked, tracks))))


def _notes(asked: Asked, tracks: Sequence[Track]) -> Iterator[str]:
    """Yield what is to be said of the tracks beside showing them."""
    if asked.settings.find_lr and not all(track.done for track in tracks):
        what = "is found by a range test when training begins, as clfctl lr-find finds it"
        yield f"Note: `lr=` {what}; until then the curve is that of {asked.settings.lr:g}."
    for track in tracks:
        yield from track.notes
        if track.applied:
            from clfctl.display.preview_applied import applied_lines

            yield from applied_lines(track.subject, track.applied)
    if asked.metrics is not None:
        deaf = (track.subject for track in tracks if not track.plan.schedule.follows_metrics)
        yield from (f"Note: {subject} does not depend on metrics." for subject in deaf)
    # With one schedule there is nothing to tell apart.
    several = len({track.subject for track in tracks}) > 1
    for track in tracks:
        whose = f"{track.subject}: " if several else ""
        yield from (f"Warning: {whose}{caution}." for caution in track.plan.cautions)
