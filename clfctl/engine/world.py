"""The processes that train together. Today there is one; what has to change for several stands here alone."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class World:
    """`size` processes, of which this one is the `rank`-th, from 0.

    What every process must know alike goes through it: the plan, the cursor and the number of batches count *global*
    batches, so that they do not depend on `size`. The loader gives each process its share of every batch.
    """

    rank: int = 0
    size: int = 1

    def __post_init__(self) -> None:
        """Raise ValueError for what there is not today."""
        if (self.rank, self.size) != (0, 1):
            raise ValueError(f"process {self.rank} of {self.size}: there is only one process today")

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and tells the user."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of the values of all processes, of the same shape, on the same device."""
        return values

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        return flag


ALONE = World()
