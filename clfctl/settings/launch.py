"""What torchrun says of this process in its environment: which of how many it is. No torch here."""

import os
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """A process among those that torchrun started, from 0: the `rank`-th of `size`, the `local_rank`-th on its machine.

    `n_local` run on this machine. `n_restarts` is how often torchrun has started them anew, `job` what all those times
    have in common on one machine, "" if torchrun is not there to do so. `store` is where its own store listens, which
    outlives a restart.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    n_local: int = 1
    n_restarts: int = 0
    job: str = ""
    store: tuple[str, int] | None = None

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
        port = int(os.environ.get("MASTER_PORT", "0"))
    except ValueError:
        return Launch()
    rank, size, local_rank, n_local, n_restarts = numbers
    has_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" and port
    store = (os.environ["MASTER_ADDR"], port) if has_store else None
    return Launch(rank, size, local_rank, n_local, n_restarts, _job(), store)


def _job() -> str:
    """Return what is the same in all restarts of a launch, and in no other launch on this machine."""
    identity = os.environ.get("TORCHELASTIC_RUN_ID")
    return f"{identity}/{socket.gethostname()}/{os.getppid()}" if identity else ""
