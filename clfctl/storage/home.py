"""The home folder in the place of `~`, in one way for every path that a user writes."""

import os

from clfctl.errors import UsageError


def expand_home(path: str) -> str:
    """Return a path with the home folder for a leading `~` or `~user`; a name such as `~draft` stays.

    Shells do so only where the `~` begins a word, not in `--runs-dir=~/runs`, and nobody does in files and variables.
    Raises UsageError where the home folder is not known.
    """
    if not path.startswith("~"):
        return path
    expanded = os.path.expanduser(path)  # noqa: PTH111 (pathlib raises RuntimeError)
    if expanded == path and path.partition("/")[0] == "~":
        raise UsageError(f"{path!r} begins with ~, and there is no home folder", "set HOME, or write the path in full")
    return expanded
