"""What torchrun says of this process in its environment: which of how many it is. No torch here."""

import os
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """A process among those that torchrun started, from 0: the `rank`-th of `size`, the `local_rank`-th on its machine.

    `n_local` run on this machine. `n_restarts` is how often torchrun has started them anew, `job` what all those times
    have in common.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    n_local: int = 1
    n_restarts: int = 0
    job: str = ""

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and tells the user."""
        return self.rank == 0


def launch() -> Launch:
    """Return what torchrun says; a process that it did not start is alone."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT")
    if "MASTER_ADDR" not in os.environ or any(name not in os.environ for name in names[:2]):
        return Launch()
    try:
        numbers = [int(os.environ.get(name, default)) for name, default in zip(names, "01010", strict=True)]
    except ValueError:
        return Launch()
    rank, size, local_rank, n_local, n_restarts = numbers
    return Launch(rank, size, local_rank, n_local, n_restarts, _job())


def _job() -> str:
    """Return what is the same in all restarts of a launch, and in no other launch on this machine."""
    identity = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":  # the first process may move to another machine
        return identity
    return f"{identity}/{socket.gethostname()}/{os.getppid()}"
