"""How much memory there is to compute in, and whether an error says that it was too little."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from clfctl.engine.device import describe
from clfctl.engine.state import TrainState
from clfctl.errors import ClfctlError
from clfctl.runs.folder import RunFolder
from clfctl.storage.names import shell

_SHORT = ("out of memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")
_LIMIT, _IN_USE = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is of memory that ran out: torch's own, and those of its libraries and of the CPU."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(each in text for each in _SHORT)


@contextmanager
def in_memory(state: TrainState, run: RunFolder | None = None) -> Iterator[None]:
    """Let a step that runs out of memory end in a sentence; `run` is what could go on. Raises ClfctlError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        n, device = state.settings.images_at_once, describe(state.precision.device)
        what = f"the memory of {device} is too small for {n} images at once"
        going_on = f"{shell('resume', run.path)} " if run else ""
        parts = f"compute batches in more parts: {going_on}`accumulate={2 * state.settings.accumulate}`"
        hint = f"{parts}; or train a new run with `find_batch_size=True`, `amp=bf16` or a smaller `image_size=`"
        raise ClfctlError(what, hint) from error


class Peak:
    """The most memory that this process took since this was made, beyond what it had, in bytes."""

    def __init__(self) -> None:
        # Where the system forgets the peak it is known exactly; else it is at least as large as it was.
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self._before = _status("VmRSS") or _most()

    def n_bytes(self) -> int:
        """Return it; 0 where the system does not say."""
        return max(0, (_status("VmHWM") or _most()) - self._before)


def free_bytes() -> int | None:
    """Return the memory that this process may still take, of the machine and of its container; None: not known."""
    found = []
    with suppress(OSError, ValueError):
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        found.append(1024 * int(lines["MemAvailable"].split()[0]))
    with suppress(OSError, ValueError):
        found.append(int(_LIMIT.read_text(encoding="ascii")) - int(_IN_USE.read_text(encoding="ascii")))
    return min(found, default=None)


def _status(name: str) -> int:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
    return 0


def _most() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
