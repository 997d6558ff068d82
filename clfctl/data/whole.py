"""What a process knows of a batch of which it has a share only. No torch, no numpy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Whole:
    """The batch that all processes have together, in the order of the processes.

    `counts` says how many images each has, `rank` which of them this one is; `weight` is the sum of the class weights
    of all labels, or how many there are.
    """

    counts: tuple[int, ...]
    rank: int
    weight: float

    @property
    def n_images(self) -> int:
        """Images of all processes."""
        return sum(self.counts)


def share_of(n: int, rank: int, size: int) -> slice:
    """Return which of `n` things in a row are the `rank`-th of `size` processes': as many as to others or one more."""
    each, more = divmod(n, size)
    first = rank * each + min(rank, more)
    return slice(first, first + each + (rank < more))


def length(share: slice) -> int:
    """Return how many things a share is."""
    return int(share.stop - share.start)
