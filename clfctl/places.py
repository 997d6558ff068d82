"""Where clfctl keeps what it can make again: model names for TAB, decoded images. No torch here."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return clfctl's folder among the user's caches, `~/.cache/clfctl` as a rule; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clfctl"
