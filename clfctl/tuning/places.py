"""Where the relative paths of a study lead: from the folder that it was begun in, wherever it goes on."""

import os
from pathlib import Path
from typing import Any

from clfctl.data.sources.names import is_named
from clfctl.planning.place import FOLDERS, working_folder
from clfctl.runs.folder import CHECKPOINT_SUFFIX, RunFolder

# Settings of a trial that name files or folders; where its run lies the study says.
PATHS = frozenset({*FOLDERS, "data", "weights", "start_from", "model", "storage"} - {"runs_dir"})
# How the address of a database begins that is a file; one more stroke, and its path is a whole one.
_SQLITE = "sqlite:///"


def led(name: str, value: Any, start: Path, end: Path, data_dir: Path) -> Any:
    """Return the value of a setting whose relative paths lead from `start` as one whose paths lead from `end`.

    Names stay, of data sets (`data_dir` is where downloaded ones are) and of networks, and so does what is not there:
    it may be found in the working folder.
    """
    if start == end or (name and name not in PATHS):
        return value
    if isinstance(value, list | tuple):
        return [led(name, each, start, end, data_dir) for each in value]
    if name == "storage":
        is_file = str(value).startswith(_SQLITE)
        return _SQLITE + str(led("", str(value)[len(_SQLITE) :], start, end, data_dir)) if is_file else value
    if name == "model" and isinstance(value, str) and "," in value:
        return ",".join(led(name, each.strip(), start, end, data_dir) for each in value.split(","))
    if not isinstance(value, str | Path) or not str(value) or Path(value).is_absolute():
        return value
    there = start / value
    if not there.exists() or _is_name(name, str(value), there, start, data_dir):
        return value
    return type(value)(os.path.relpath(there, end))


def same_place(one: Any, other: Any) -> bool:
    """Return whether two values of a setting are the same, `photos` and `photos/` among them."""
    if isinstance(one, str | Path) and isinstance(other, str | Path) and str(one) and str(other):
        return os.path.normpath(one) == os.path.normpath(other)
    return bool(one == other)


def begun_in(given_in: str, study: Path) -> Path:
    """Return the folder that the paths of a study start from; that of an early study is not known, and is this one."""
    return (study.resolve() / given_in).resolve() if given_in else working_folder()


def seen_from(given_in: Path, study: Path) -> str:
    """Return the way from the folder of a study to the one that its paths start from, so that both may move."""
    try:
        return os.path.relpath(given_in, study.resolve())
    except ValueError:  # another drive of Windows
        return str(given_in)


def _is_name(setting: str, value: str, there: Path, start: Path, data_dir: Path) -> bool:
    match setting:
        case "data":
            return is_named(value, data_dir, start)
        case "model":  # a run, of a probe; a folder that is none may be called as a network is
            return not (RunFolder(there).config.is_file() or there.suffix == CHECKPOINT_SUFFIX)
    return False
