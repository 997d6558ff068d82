"""Which display a training gets: nothing, JSON lines, a live table or plain lines."""

import os
import sys
from collections.abc import Sequence

from clfctl.display.base import Display
from clfctl.display.json_lines import JsonDisplay
from clfctl.display.plain import PlainDisplay
from clfctl.engine.results import EpochResult, Progress
from clfctl.settings.groups import OutputSettings


def make_display(
    output: OutputSettings,
    total_epochs: int,
    progress: Progress,
    curve: Sequence[tuple[float, float]],
    history: Sequence[EpochResult] = (),
) -> Display:
    """Return the display that the settings and standard output call for; quiet goes before JSON.

    `curve` is (time in epochs, lr), as `sample_curve` returns it; a table begins with the epochs of `history`.
    """
    if output.quiet:
        return Display()
    if output.json_lines:
        return JsonDisplay()
    if _can_show_live():
        from clfctl.display.live import LiveDisplay  # rich costs start-up time that the other displays do not need

        return LiveDisplay(total_epochs, progress, curve, history)
    return PlainDisplay(total_epochs)


def _can_show_live() -> bool:
    can_draw = (sys.stdout.encoding or "").lower().startswith("utf")  # braille dots have no other encoding
    return sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb" and can_draw
