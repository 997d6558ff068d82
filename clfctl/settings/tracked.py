"""The names of the trackers that a training can be written to."""

import importlib.util

from clfctl.errors import UsageError, nearest
from clfctl.settings.base import FieldError

# Name, the module that it needs, empty for none; the extra is called as the tracker.
TRACKERS = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb", "csv": ""}
NONE = "none"


def trackers_in(text: str) -> tuple[str, ...]:
    """Return the trackers of `tensorboard,csv`, each once, none for an empty text or `none`. Raises FieldError."""
    names = dict.fromkeys(name.strip() for name in text.split(",") if name.strip() not in ("", NONE))
    for name in names:
        if name not in TRACKERS:
            hint = nearest(name, TRACKERS) or f"there are: {', '.join(TRACKERS)}; several are separated by commas"
            raise FieldError("track", f"{name!r} is not a tracker", hint)
    return tuple(names)


def missing(name: str) -> str:
    """Return how the library of a tracker is installed, an empty text if it is there."""
    module = TRACKERS[name]
    return f"pip install 'clfctl[{name}]'" if module and importlib.util.find_spec(module) is None else ""


def check_installed(text: str) -> None:
    """Raise UsageError for a tracker whose library is not there."""
    for name in trackers_in(text):
        if how := missing(name):
            raise UsageError(f"{name} is not installed", how, field="track")
