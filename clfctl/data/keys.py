"""Randomness as a function of what it is for: (seed, epoch, sample), never of what was drawn before."""

import hashlib
import struct

import numpy as np
from numpy.typing import NDArray

# One number for each use, so that two uses with the same (seed, epoch) do not draw the same.
ORDER, AUGMENT, STEP, SPLIT, WEIGHTS, LIMIT, MIXING, SAMPLE = range(8)


def hash_key(*key: int) -> int:
    """Return 63 bits that depend on every number of the key and on their order.

    Sums would not do: seed 1 epoch 0 would be seed 0 epoch 1.
    """
    data = struct.pack(f"<{len(key)}q", *key)
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") >> 1


def permutation(n: int, *key: int) -> NDArray[np.int64]:
    """Return the numbers below `n` in the order that the key determines."""
    return np.random.Generator(np.random.Philox(key=hash_key(*key))).permutation(n)


def times_before(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each number has been in the order before, (n,): 0 where it is the first time."""
    by_number = np.argsort(order, kind="stable")
    in_order = order[by_number]
    before = np.empty_like(order)
    before[by_number] = np.arange(len(order)) - np.searchsorted(in_order, in_order, side="left")
    return before


def order_of(n: int, chances: NDArray[np.float64] | None, *key: int) -> NDArray[np.int64]:
    """Return `n` numbers below `n`: each once, or with `chances` (n,) drawn with replacement, in proportion to them."""
    if chances is None:
        return permutation(n, *key)
    # By hand, not by `choice`: the same numbers whatever numpy makes of it in another version.
    ends = np.cumsum(chances)
    draws = np.random.Generator(np.random.Philox(key=hash_key(*key))).random(n) * ends[-1]
    # A draw may round up to the end itself.
    drawn: NDArray[np.int64] = np.minimum(np.searchsorted(ends, draws, side="right"), np.flatnonzero(chances)[-1])
    return drawn
