"""What torch keeps for the whole process, random state, threads and flags: one user at a time, and given back."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import torch

from clfctl.engine.determinism import flags_as_they_were
from clfctl.settings.launch import launch

# Two trainings in two threads would draw from the same generators: neither would have its own bits.
_ONE_AT_A_TIME = RLock()


@contextmanager
def as_it_was(device: str = "auto") -> Iterator[None]:
    """Wait for other threads that compute so, then give torch's random state, threads and flags back at the end.

    `device` is what is computed on, as the setting has it. A GPU that is neither in use nor wanted is not touched.
    """
    with _ONE_AT_A_TIME, flags_as_they_were():
        n_threads = torch.get_num_threads()
        uses_cuda = torch.cuda.is_initialized() or (device.startswith(("auto", "cuda")) and torch.cuda.is_available())
        uses_mps = device.startswith(("auto", "mps")) and torch.backends.mps.is_available()
        of_mps = torch.mps.get_rng_state() if uses_mps else None
        with torch.random.fork_rng(_gpus() if uses_cuda else ()):
            try:
                yield
            finally:
                if of_mps is not None:
                    torch.mps.set_rng_state(of_mps)
                if torch.get_num_threads() != n_threads:
                    torch.set_num_threads(n_threads)


def _gpus() -> list[int]:
    """Return the GPUs whose random state is given back: of several processes each has its own."""
    return [torch.cuda.current_device()] if launch().size > 1 else [*range(torch.cuda.device_count())]
