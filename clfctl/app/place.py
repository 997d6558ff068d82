"""What the pages of the app are about: one place for the process, whose script Streamlit runs anew at each touch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clfctl.inference.uploads import Limits


@dataclass(frozen=True)
class Place:
    """`source` is a folder of runs, one run or ensemble, or a file of a model; `limits` are those of what is sent.

    `spelled` writes the settings in a text, "`lr=0.1`", as the options of a command line.
    """

    source: Path
    limits: Limits
    spelled: Callable[[str], str]


_held: list[Place] = []


def hold(place: Place) -> None:
    """Make a place that of this process."""
    _held[:] = [place]


def here() -> Place:
    """Return the place of this process."""
    return _held[0]
