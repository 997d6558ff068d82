"""What is to become of an exported model. No torch here."""

import re
from dataclasses import dataclass

from clfctl.errors import UsageError

MAX_LOSS, N_CALIBRATED = 0.01, 128
_SHARE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)")


@dataclass(frozen=True)
class Rework:
    """Whether an export computes in `int8` and takes whole pictures (`bake_preprocessing`).

    int8 is calibrated on `calibrate` training images, and refused where it loses more than the share `max_loss` of the
    validation images.
    """

    int8: bool = False
    max_loss: float = MAX_LOSS
    calibrate: int = N_CALIBRATED
    bake_preprocessing: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_loss <= 1:
            raise _not_a_share(f"{self.max_loss:g}")
        if self.calibrate < 1:
            raise UsageError(
                f"{self.calibrate} images are too few to calibrate on", "give 1 or more", field="calibrate"
            )

    @property
    def is_plain(self) -> bool:
        """Whether the export stays as it is."""
        return not (self.int8 or self.bake_preprocessing)


def wanted_rework(
    *, int8: bool = False, max_loss: float | None = None, calibrate: int | None = None, bake_preprocessing: bool = False
) -> Rework:
    """Return what is wanted; None is the usual. Raises UsageError for what is int8's alone without it."""
    for name, given in (("max_loss", max_loss), ("calibrate", calibrate)):
        if given is not None and not int8:
            raise UsageError("without `int8=True` it has no effect", "give both, or neither", field=name)
    return Rework(
        int8,
        MAX_LOSS if max_loss is None else max_loss,
        N_CALIBRATED if calibrate is None else calibrate,
        bake_preprocessing,
    )


def share_of(text: str) -> float:
    """Read a share of images: `1%`, or `0.01`. Raises UsageError."""
    found = _SHARE.fullmatch(text.strip())
    share = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= share <= 1:
        raise _not_a_share(text)
    return share


def _not_a_share(text: str) -> UsageError:
    return UsageError(f"{text!r} is not a share of the images", "give 1% or 0.01, from 0 to 1", field="max_loss")
