"""What the parts of a data set are called: one table for folders, split columns, shards and Hugging Face splits."""

import re
from typing import Literal, get_args

PartName = Literal["train", "val", "test"]
PARTS: tuple[PartName, ...] = get_args(PartName)
# The usual names of each part, in lower case.
NAMES: dict[PartName, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "holdout"),
}
_PART_OF: dict[str, PartName] = {name: part for part, names in NAMES.items() for name in names}


def part_of(name: str) -> PartName | None:
    """Return the part that is usually called `name`, in any case and with any spaces around it; None for other names.

    `Training` is "train", `valid` is "val", `HOLDOUT` is "test".
    """
    return _PART_OF.get(name.strip().lower())


def part_in(name: str) -> PartName | None:
    """Return the part that a word of `name` says: `training_set`, `seg_test` and `val2017` have one, `station` not."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return next((part for word in words if (part := part_of(word))), None)
