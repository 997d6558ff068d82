"""The learning rates of some batches of an epoch."""

from typing import NamedTuple


class Batches(NamedTuple):
    """Batches of an epoch, from `first` on, both from 1: the planned rate of each, and the one that it had if known."""

    epoch: int
    first: int
    rates: list[float]
    applied: list[float] | None = None
