"""What bench-data is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clfctl.settings.groups import BenchSettings, TrainSettings


@dataclass(frozen=True)
class BenchOptions:
    """What only this command has: `seconds` of a window, None: so that all takes about a minute.

    With `show_batch` nothing is measured: the first batch becomes a picture, as training shows it.
    """

    against: Sequence[str] = ()
    seconds: float | None = None
    write: Path | None = None
    plot: Path | None = None
    show_batch: Path | None = None


def as_training(settings: BenchSettings) -> TrainSettings:
    """Return the settings of the training that is asked about; weights cost no time, so none are downloaded."""
    return TrainSettings.model_validate(settings.model_dump(exclude_unset=True) | {"pretrained": False})
