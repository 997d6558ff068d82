"""Before each batch all processes tell each other how many images they have, whether to stop, and what went wrong."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from clfctl.data.loader import BadImages, Batch
from clfctl.data.whole import Whole
from clfctl.engine.evaluate import Batches
from clfctl.engine.signals import StopSignals
from clfctl.engine.world import World
from clfctl.errors import ClfctlError


@dataclass
class Together:
    """What the processes agree on at every batch, in one message of a few numbers.

    `class_weights` (n_classes,) are on the host, None: all labels weigh 1. `stop` is the signal of the latest batch by
    which any process was asked to stop, 0: none.
    """

    world: World
    signals: StopSignals
    bad_images: BadImages
    class_weights: torch.Tensor | None = None
    stop: int = 0
    _n_bad: int = 0

    def batches(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield this process's share of every batch, with what there is to know of the whole.

        Raises what reading them raises, in any process.
        """
        if self.world.is_alone:
            yield from batches
            return
        while True:
            batch, error = None, None
            try:
                batch = next(batches, None)
            except ClfctlError as failed:
                error = failed
            batch = self._agreed(batch, error)
            if batch is None:
                return
            yield batch

    def received(self) -> signal.Signals | None:
        """Return the signal by which to stop, the same one in every process as of the latest batch."""
        if self.world.is_alone:
            return self.signals.received
        return signal.Signals(self.stop) if self.stop else None

    def _agreed(self, batch: Batch | None, error: ClfctlError | None) -> Batch | None:
        n = len(batch.labels) if batch else 0
        weight = float(n)
        if batch and self.class_weights is not None:
            weight = float(self.class_weights[batch.labels].double().sum())
        n_bad = len(self.bad_images.found)
        stop = int(self.signals.received or 0)
        told = self.world.gather(n, weight, stop, n_bad, bool(error))
        counts, weights, stops, bad, failed = zip(*told, strict=True)
        self.stop = max(self.stop, *map(int, stops))
        if any(failed):
            self.world.agree(error)
        if len(set(bad)) > 1 or max(bad) > self._n_bad:
            self._share_bad_images()
        if batch is None:
            return None
        return replace(batch, whole=Whole(tuple(map(int, counts)), self.world.rank, sum(weights)))

    def _share_bad_images(self) -> None:
        """Let every process know of the images that any could not read."""
        found = [json.loads(each) for each in self.world.texts(json.dumps(dict(self.bad_images.found)))]
        before = {name for each in found for name in each}
        self._n_bad = len(before)
        self.world.agree(self.bad_images.learn({name: why for each in found for name, why in each.items()}))


@dataclass(frozen=True)
class Shares:
    """The shares that a process has of some batches, with what all agree on at each."""

    of: Batches
    together: Together

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from batch `start` on."""
        return self.together.batches(self.of.batches(epoch, start))
