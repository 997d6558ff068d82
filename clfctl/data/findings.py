"""What may be wrong with an image file, and where the file belongs in the data."""

from dataclasses import dataclass
from typing import NamedTuple

# Every kind of finding, worst first, with what it means.
KINDS = {
    "unreadable": "cannot be read or decoded",
    "empty": "has no bytes",
    "not-an-image": "is not in a known image format",
    "truncated": "ends too early",
    "bomb": "has more pixels than Pillow decodes",
    "tiny": "is smaller than the minimum size",
    "two-classes": "the same file in two classes",
    "leak": "the same file in training and validation or test",
    "duplicate": "the same file twice",
    "double": "a copy beside the data: training does not read it",
}
# Nothing is wrong with the data because of it, and nothing is gained by moving it.
HARMLESS = "double"


class Place(NamedTuple):
    """Where an image belongs: the part of the data (train, val, test; empty where there are none) and its class.

    `is_read` is false for what lies beside the data, so that training does not read it.
    """

    part: str
    class_name: str
    is_read: bool = True


@dataclass(frozen=True)
class Finding:
    """Something wrong with a file; `same_as` is the file that it is a copy of."""

    kind: str
    file: str
    reason: str
    same_as: str = ""
