"""Everything that a command says goes through here: results to standard output, what is said beside them to error.

It alone knows whether the reader is a person at a terminal, a file or a script, and whether all is to be quiet.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from clfctl.data.onlookers import no_step
from clfctl.display.streams import forget_reader, make_writable
from clfctl.display.wrapping import in_width, width_of
from clfctl.settings.groups import OutputSettings
from clfctl.settings.launch import launch
from clfctl.storage.json_lines import dump_json
from clfctl.storage.names import without_codes

if TYPE_CHECKING:
    from rich.console import Console

    from clfctl.data.onlookers import Onlookers

# What plots can be saved as.
PICTURES = (".png", ".svg")
# Seconds between two writes to a terminal or a pipe.
FLUSH_S = 0.1
Advance = Callable[[int], None]


class Output:
    """Where a command's results and notes go. `spelled` writes settings in a note as the user knows them."""

    def __init__(self, settings: OutputSettings, spelled: Callable[[str], str] = str) -> None:
        # Of several processes that train together the first alone speaks.
        self.is_first = launch().is_first
        self.is_quiet, self.as_json = settings.quiet or not self.is_first, settings.json_lines
        self.spelled = spelled
        for stream in (sys.stdout, sys.stderr):
            make_writable(stream)

    @property
    def on_terminal(self) -> bool:
        """Whether results go to a terminal."""
        return sys.stdout.isatty()

    @property
    def has_color(self) -> bool:
        """Whether results may be coloured."""
        return self.on_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") != "dumb"

    @property
    def can_redraw(self) -> bool:
        """Whether results go to a terminal that can move its cursor and has the characters of a curve."""
        can_draw = (sys.stdout.encoding or "").lower().startswith("utf")  # braille dots have no other encoding
        return self.on_terminal and os.environ.get("TERM", "") != "dumb" and can_draw

    def width(self, most: int = 10**6) -> int:
        """Return the columns of the terminal, or of what a file is written for: 80, unless COLUMNS says otherwise."""
        return min(shutil.get_terminal_size().columns, most)

    def note(self, *lines: str) -> None:
        """Print lines to standard error, unless all is to be quiet."""
        if not lines or self.is_quiet:
            return
        try:
            width = width_of(sys.stderr)
            texts = (in_width(without_codes(self.spelled(line)), width) for line in lines)
            print(*texts, sep="\n", file=sys.stderr, flush=True)
        except BrokenPipeError:  # nothing that was asked for is lost
            forget_reader(sys.stderr)

    def bar(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """Show how far something is on standard error, if that is a terminal; yield what takes how many are done."""
        if self.is_quiet or not sys.stderr.isatty():
            return no_bar()
        from clfctl.display.progress import progress_bar

        return progress_bar(what, total)

    def bar_below_rows(self, count: Callable[[], int]) -> AbstractContextManager[Advance]:
        """As `bar`, for predictions: below the rows of a table where these go to the terminal too.

        `count` returns how many there are; it may take a while, and is called only where the bar is seen.
        """
        if self.is_quiet or not sys.stderr.isatty():
            return no_bar()
        from clfctl.display.progress import predict_progress

        return predict_progress(count())

    def onlookers(self) -> "Onlookers":
        """Return those who are told of what takes long."""
        from clfctl.data.onlookers import Onlookers

        return Onlookers(self.note, self.bar)

    def result(
        self,
        *,
        json: Callable[[], Iterable[Mapping[str, Any] | str]],
        plain: Callable[[], Iterable[str]] | None = None,
        rich: Callable[["Console"], None] | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        """Print a result: a JSON object a line, something for a terminal, or plain lines; quiet leaves JSON alone.

        What has no plain lines is printed as on a terminal, and the other way round; `notes` follow on standard error
        where it is not JSON. Only what is called for is made; JSON may be a line already. A reader that leaves does not
        stop the command: what it writes comes after this.
        """
        if not self.is_first:
            return
        try:
            if self.as_json:
                self._print(each if isinstance(each, str) else dump_json(each) for each in json())
            elif self.is_quiet:
                return
            elif rich and (self.on_terminal or not plain):
                from rich.console import Console

                rich(Console())
            elif plain:
                width = width_of(sys.stdout)
                self._print(in_width(each, width) for each in plain())
            self.note(*(() if self.as_json else notes))
        except BrokenPipeError:
            forget_reader(sys.stdout)

    def stream(self, pieces: Iterable[str], *, keeps_on: bool = False) -> None:
        """Print text as it comes, several pieces at once. Raises BrokenPipeError if the reader leaves.

        With `keeps_on` the pieces are gone through to their end, for what else they do.
        """
        # Below each write to the terminal a progress bar is drawn again, which takes 2 ms.
        waiting, written_s = list[str](), 0.0
        rest = iter(pieces)
        try:
            try:
                for piece in rest:
                    waiting.append(piece)
                    if time.perf_counter() - written_s > FLUSH_S:
                        _write(waiting)
                        written_s = time.perf_counter()
            finally:
                _write(waiting)
        except BrokenPipeError:
            forget_reader(sys.stdout)
            if not keeps_on:
                raise
            for _ in rest:
                pass

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _write(waiting: list[str]) -> None:
    text = "".join(waiting)
    waiting.clear()
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def no_bar() -> Iterator[Advance]:
    """Take the place of a bar that nobody would see."""
    yield no_step
