"""The largest batch that fits in memory: found by real steps of the training, on copies that are thrown away."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from clfctl.data.loader import Batch
from clfctl.engine.assemble import Parts
from clfctl.engine.device import describe
from clfctl.engine.frozen import begin_epoch
from clfctl.engine.memory import Peak, free_bytes, is_out_of_memory
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.rehearsal import free_memory, rehearsal
from clfctl.errors import ClfctlError
from clfctl.models.sources import source_of
from clfctl.settings.scaled_rate import about_scaled

# Larger ones train worse or no faster; on a CPU they only take longer to try.
MOST, MOST_ON_CPU = 4096, 128
# In the first step an optimizer makes its moments: the second is what all later ones are.
N_STEPS = 2
# Of the free memory, what a batch may be expected to take on a CPU, where trying a larger one could end the process.
SAFE = 0.8
FINENESS = 16


@dataclass(frozen=True)
class Sizes:
    """The sizes to try: multiples of `unit` from `least` to `most`, beginning with `first`."""

    first: int
    unit: int
    least: int
    most: int

    def largest(self, fits: Callable[[int], bool]) -> int:
        """Return the largest found for which `fits` was true, within a sixteenth; 0: not even the least.

        Doubles until one does not, or halves until one does, and bisects between the two.
        """
        low, high = 0, self.first
        while low < self.most and fits(high):
            low, high = high, min(2 * high, self.most)
        while not low and high > self.least:
            lower = max(self.least, self._multiple(high // 2))
            low, high = (lower, high) if fits(lower) else (0, lower)
        while low and high - low > max(self.unit, low // FINENESS):
            middle = self._multiple((low + high) // 2)
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

    def _multiple(self, n: int) -> int:
        return n // self.unit * self.unit


def sizes_of(parts: Parts) -> Sizes:
    """Return the batch sizes to try: no more than there are images, and two at a time at least, if there are two."""
    settings, unit = parts.settings, parts.settings.accumulate
    limit = MOST_ON_CPU if parts.precision.device.type == "cpu" else MOST
    most = min(len(parts.data.train), max(limit, settings.batch_size)) // unit * unit
    least = min(2 * unit, most)
    return Sizes(min(max(settings.batch_size, least), most), unit, least, most)


def find_batch_size(parts: Parts, tell: Callable[[str], None]) -> tuple[Parts, list[str]]:
    """Return the parts with the batch size that was found, where it was to be, and lines about it.

    `tell` takes a line for each size that is tried. Raises ClfctlError if not even the least fits.
    """
    settings, device = parts.settings, parts.precision.device
    if not settings.find_batch_size:
        return parts, []
    sizes, trials = sizes_of(parts), Trials(parts)

    def fits(n: int) -> bool:
        is_fitting = trials.fits(n)
        tell(f"Search batches of {n} {'fit' if is_fitting else 'are too large'}")
        return is_fitting

    found, where = sizes.largest(fits), f"the memory of {describe(device)}"
    if not found:
        hint = "try a smaller `image_size=` or `model=`, or `amp=bf16`"
        raise ClfctlError(f"not even batches of {sizes.least} fit in {where}", hint, field="find_batch_size")
    is_all = found + sizes.unit > len(parts.data.train)
    why = "all images" if is_all else "no more are tried here"
    if trials.too_large:
        why = f"{trials.too_large} are too large for {where}"
    chosen = settings.model_copy(update={"batch_size": found, "find_batch_size": False})
    if settings.scale_lr == "none":
        return replace(parts, settings=chosen), [f"Found  batches of {found}: {why}; `lr=` is as it was"]
    optimizer = build_optimizer(chosen, parts.built.model, source_of(chosen.model))
    return replace(parts, settings=chosen, optimizer=optimizer), [
        f"Found  batches of {found}: {why}",
        f"Rate   {about_scaled(chosen)}",
    ]


@dataclass
class Trials:
    """Tries batch sizes; `too_large` is the smallest for which there was not memory enough, 0: none so far."""

    parts: Parts
    too_large: int = 0
    _bytes_of_image: float = field(default=0.0, init=False)

    def fits(self, n: int) -> bool:
        """Make real steps on batches of `n` images; return whether there was memory enough."""
        peak, is_fitting = Peak(), self._is_safe(n) and self._steps(n)
        free_memory(self.parts.precision.device)
        if is_fitting:
            self._bytes_of_image = peak.n_bytes() / n
        else:
            self.too_large = min(self.too_large or n, n)
        return is_fitting

    def _is_safe(self, n: int) -> bool:
        """Return whether a CPU has as much memory as a batch will take, by what smaller ones took."""
        free = free_bytes() if self.parts.precision.device.type == "cpu" else None
        return free is None or n * self._bytes_of_image <= SAFE * free

    def _steps(self, n: int) -> bool:
        parts = self.parts
        settings = parts.settings.model_copy(update={"batch_size": n, "workers": 0})
        try:
            with rehearsal(parts, settings) as trainer:
                begin_epoch(trainer.state.model, trainer.state.optimizer, settings.unfreeze_at or 0)
                for number in range(N_STEPS):
                    trainer.step(_batch(parts, n), number).item()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True


def _batch(parts: Parts, n: int) -> Batch:
    """Return `n` images of noise, of every class."""
    height, width = parts.built.preprocess.size
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (n, height, width, 3), dtype=torch.uint8, generator=draw)
    return Batch(pixels.permute(0, 3, 1, 2), torch.arange(n) % len(parts.data.classes), range(n))
