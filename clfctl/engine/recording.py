"""What is recorded of the batches of an epoch: looked at now and then, and put together to windows."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from clfctl.engine.state import Cursor
from clfctl.engine.watching import Steps
from clfctl.schedules.recorded import TOLERANCE, summary

# Looking at the losses waits for the device; that often costs nothing measurable, and finds a NaN soon enough.
CHECK_EVERY = 50


@dataclass
class Recorder:
    """Looks at the losses of the running epoch, `n_batches` long, and keeps what they show in the cursor's windows.

    A window ends after every `CHECK_EVERY` batches of an epoch, at its end, and where a schedule looks; never because a
    training is stopped or saved, so that the same windows come of any course that it takes.
    """

    cursor: Cursor
    n_batches: int
    lrs: list[float] = field(default_factory=list)
    """Learning rates of the steps that are still to be handed over."""

    def now(self) -> float:
        """Return the time of the coming step, in epochs."""
        return self.cursor.epoch + self.cursor.batch / self.n_batches

    def is_due(self, look: float) -> bool:
        """Return whether a window ends here, where the schedule looks at the time `look`."""
        at_check = self.cursor.batch % CHECK_EVERY == 0 or self.cursor.batch == self.n_batches
        return at_check or self.now() >= look - TOLERANCE

    def look(self, on_steps: Callable[[Steps], None] | None, *, ends_window: bool) -> int | None:
        """Return the first batch, from 0, whose loss is not finite; without one, hand the steps over and return None.

        Waits for the device, once.
        """
        cursor = self.cursor
        first, begun = cursor.batch - len(self.lrs), self._begun()
        seen = torch.stack((cursor.losses[begun : cursor.batch], cursor.norms[begun : cursor.batch])).cpu()
        losses = seen[0, first - begun :]
        finite = torch.isfinite(losses)
        if not finite.all():
            return first + int((~finite).nonzero()[0])
        lrs, self.lrs = self.lrs, []
        if ends_window and cursor.batch > begun:
            self._keep(begun, seen)
        if on_steps and lrs:
            # A batch without images was no step, but its place in the run is counted.
            made = zip(losses.tolist(), cursor.n_images[first:], strict=True)
            values = [loss if n_images else math.nan for loss, n_images in made]
            on_steps(Steps(cursor.epoch * self.n_batches + first, values, lrs))
        return None

    def _begun(self) -> int:
        """Return the batch of the running epoch that its last window begins with."""
        end = self.cursor.windows[-1].end if self.cursor.windows else 0.0
        return max(0, round((end - self.cursor.epoch) * self.n_batches))

    def _keep(self, begun: int, seen: torch.Tensor) -> None:
        """Add the window of the batches from `begun` on, with (2, n) their losses and gradient norms.

        Losses and norms are those of all processes, so that all get the same window.
        """
        n_images = torch.tensor(self.cursor.n_images[begun:], dtype=torch.float64)
        # A norm that is not finite must not reach those of other batches, nor 0 times it.
        weighed = torch.where(n_images > 0, seen.double(), 0.0) * n_images
        *sums, counts = torch.cat((weighed, n_images[None])).tolist()
        losses, norms = ([each / n for each, n in zip(of, counts, strict=True) if n] for of in sums)
        start = self.cursor.epoch + begun / self.n_batches
        self.cursor.windows.append(summary(start, self.now(), losses, norms))
