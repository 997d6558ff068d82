"""Which display a training gets: nothing, JSON lines, a live table or plain lines."""

import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from clfctl.display.json_lines import JsonDisplay
from clfctl.display.plain import PlainDisplay
from clfctl.engine.results import EpochResult, Progress
from clfctl.settings.groups import OutputSettings


class Display(Protocol):
    """What shows a training while it runs; entered before the first epoch, left after the last one or an error."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def add(self, result: EpochResult) -> None:
        """Show a finished epoch."""
        ...

    def update_curve(self, curve: Sequence[tuple[float, float]]) -> None:
        """Take the (time in epochs, lr) that are now known to come; plateau's change after an epoch."""
        ...


class QuietDisplay:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to end."""

    def add(self, result: EpochResult) -> None:
        """Show nothing."""

    def update_curve(self, curve: Sequence[tuple[float, float]]) -> None:
        """Show nothing."""


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
        return QuietDisplay()
    if output.json_lines:
        return JsonDisplay()
    if _can_show_live():
        from clfctl.display.live import LiveDisplay  # rich costs start-up time that the other displays do not need

        return LiveDisplay(total_epochs, progress, curve, history)
    return PlainDisplay(total_epochs)


def _can_show_live() -> bool:
    can_draw = (sys.stdout.encoding or "").lower().startswith("utf")  # braille dots have no other encoding
    return sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb" and can_draw
