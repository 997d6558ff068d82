"""Settings of a branch: where it leaves its trunk, and how long its rate falls. The rest is the trunk's."""

from typing import Annotated

from pydantic import PositiveInt, field_validator

from clfctl.schedules.durations import parse_duration
from clfctl.settings.base import Option, UserPath, UserText
from clfctl.settings.running import RunNameSettings

FALL = "a number of epochs (3, 0.5) or of batches (500b), more than 0"


class BranchSettings(RunNameSettings):
    """Branch"""

    at: Annotated[PositiveInt | None, Option(metavar="EPOCH")] = None
    """The epoch of the trunk after which it begins, one whose checkpoint is kept (`keep=`); unset: where the trunk was
    last saved."""
    cooldown: Annotated[str, Option(metavar="N", accepts=FALL)] = "3"
    """Epochs in which the learning rate falls from what it was to its lowest, `500b` batches; what is left of the last
    epoch belongs to it."""
    runs_dir: Annotated[UserPath | None, Option(values="folders")] = None  # type: ignore[assignment]  # has a default
    """Folder that the branch is made in; unset: where its trunk is."""
    data: Annotated[UserText | None, Option(short="-d", values="data", metavar="NAME|DIR|FILE")] = None
    """Where the images of the trunk are now; unset: where they were."""
    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`, `mps`; unset: as the trunk."""

    @field_validator("cooldown", mode="before")
    @classmethod
    def _is_a_fall(cls, value: object) -> str:
        length = parse_duration(f"{value:g}" if isinstance(value, int | float) else str(value))
        if not length.value or length.unit == "percent":
            raise ValueError(value)
        return str(length)
