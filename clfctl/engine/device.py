"""Where and how exactly to compute: device, mixed precision, threads, random numbers of a step."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from clfctl.data.keys import STEP, hash_key
from clfctl.data.workers import n_cores
from clfctl.engine.world import here
from clfctl.errors import UsageError
from clfctl.settings.running import Amp

# What only CUDA has a use for.
OF_CUDA: tuple[Amp, ...] = ("fp16", "tf32")
TF32_SINCE = (8, 0)  # compute capability of Ampere


def pick_device(name: str) -> torch.device:
    """Return the device; `auto` is the first GPU, else the CPU. Raises UsageError if there is no such device."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    name = here(name)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        present = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        present += ["mps"] if torch.backends.mps.is_available() else []
        raise UsageError(
            f"{name!r} is not available", "this machine has " + ", ".join(present), field="device"
        ) from None
    return device


def describe(device: torch.device) -> str:
    """Return the device in words."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


@dataclass(frozen=True)
class Precision:
    """How the forward pass computes; `scaler` does nothing but for fp16."""

    device: torch.device
    dtype: torch.dtype
    scaler: torch.amp.GradScaler

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context of a forward pass."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)


def pick_precision(amp: Amp, device: torch.device) -> Precision:
    """Return the precision that the settings ask for; torch is told of TF32, for the whole process.

    Raises UsageError for what needs a CUDA device, or one of a newer kind.
    """
    if amp in OF_CUDA and device.type != "cuda":
        raise UsageError(f"{amp} needs a CUDA device, not {device.type}", "use bf16 or off", field="amp")
    if amp == "tf32":
        if torch.cuda.get_device_capability(device) < TF32_SINCE:
            name = torch.cuda.get_device_name(device)
            raise UsageError(f"{name} has no TF32", "GPUs from Ampere on have it; use fp16 or off", field="amp")
        torch.set_float32_matmul_precision("high")
    if amp == "auto":
        amp = "off" if device.type != "cuda" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    dtype = {"off": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[amp]
    return Precision(device, dtype, torch.amp.GradScaler(device.type, enabled=amp == "fp16"))


def seed_step(device: torch.device, seed: int, step: int, rank: int = 0) -> None:
    """Seed what a step draws (dropout, drop path) from (seed, step), so that a resumed run draws the same.

    Every process draws for its own images.
    """
    # torch.manual_seed would take 97 µs to visit every backend; the generators themselves take 3.
    key = hash_key(STEP, seed, step, *((rank,) if rank else ()))
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(key)
    elif device.type == "mps":
        torch.mps.manual_seed(key)


def set_threads(n_threads: int) -> str:
    """Compute with as many threads as the run began with, 0: not known; another number gives other bits.

    Returns a warning if the machine has fewer cores, else nothing.
    """
    if n_threads > n_cores():
        numbers = "numbers may differ in the last bits"
        return f"the run began with {n_threads} threads and this machine has {n_cores()}: {numbers}"
    if n_threads and n_threads != torch.get_num_threads():
        torch.set_num_threads(n_threads)
    return ""
