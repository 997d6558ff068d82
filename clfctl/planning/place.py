"""Where the relative paths of a run lead: they are kept relative to the folder that they were given in."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clfctl.data.sources.names import is_named
from clfctl.errors import ClfctlError
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import Header
from clfctl.settings.groups import TrainSettings

FOLDERS = ("data_dir", "cache_dir", "runs_dir", "distill")


@dataclass(frozen=True)
class Place:
    """The folder that the relative paths in a run's settings start from, an absolute path."""

    given_in: Path

    def here(self, settings: TrainSettings) -> TrainSettings:
        """Return settings as a run keeps them with paths that lead from the working folder.

        What is not there any more stays as it was typed: it may be found in the working folder.
        """
        return _led(settings, self.given_in, working_folder())

    def kept(self, settings: TrainSettings) -> TrainSettings:
        """Return settings as the run keeps them, from those whose paths lead from the working folder."""
        return _led(settings, working_folder(), self.given_in)

    def seen_from(self, run: RunFolder) -> str:
        """Return the way from the run to the place, as the run's checkpoints have it."""
        try:
            return os.path.relpath(self.given_in, run.path.resolve())
        except ValueError:  # another drive of Windows
            return str(self.given_in)

    @contextmanager
    def explaining(self, run: RunFolder, settings: TrainSettings, command: str) -> Iterator[None]:
        """Let an error about images of a run that are not there say whose they are, and what to type if they moved."""
        try:
            yield
        except ClfctlError as error:
            if error.field == "data" and not Path(settings.data).exists():
                whose = f"`data={self.kept(settings).data}` of the run {run.path}, given in {self.given_in}"
                moved = f"if it has moved: clfctl {command} {shlex.quote(str(run.path))} `data=PATH`"
                error.message = f"{error.message} (it is the {whose})"
                error.hint = f"{moved}; {error.hint}" if error.hint else moved
            raise


def place_here() -> Place:
    """Return the working folder as a place."""
    return Place(working_folder())


def place_of(run: RunFolder, header: Header) -> Place:
    """Return the place of a run; the first versions did not keep it: then it is the working folder."""
    return Place((run.path.resolve() / header.given_in).resolve()) if header.given_in else place_here()


def working_folder() -> Path:
    """Return the working folder, the root if it is gone."""
    try:
        return Path.cwd().resolve()
    except OSError:
        return Path(os.sep)


def _led(settings: TrainSettings, start: Path, end: Path) -> TrainSettings:
    """Return settings whose relative paths from `start`, of what there is, are paths from `end`."""
    if start == end:
        return settings
    paths = {name: path for name in FOLDERS if (path := getattr(settings, name)) is not None}
    if not is_named(settings.data, settings.data_dir, start):
        paths["data"] = Path(settings.data)
    led = {
        name: os.path.relpath(start / path, end)
        for name, path in paths.items()
        if not path.is_absolute() and (start / path).exists()
    }
    return settings.model_copy(update={name: path if name == "data" else Path(path) for name, path in led.items()})
