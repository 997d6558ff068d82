"""What a track is made of: the epochs and windows that the last checkpoint counts as done, and nothing beyond.

A run that was killed goes on from its checkpoint: what came after is trained again, and must not be in the track twice.
So a number is written when the checkpoint has it. The track can then only lack what was done in the last moment, and
whoever goes on writes that first.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from clfctl.runs.folder import RunFolder
from clfctl.runs.header import Header, read_last
from clfctl.runs.history import EpochResult
from clfctl.runs.rates import Stretch, read_rates
from clfctl.schedules.recorded import TOLERANCE, Window
from clfctl.tracking.backend import BATCH, Item

# What all trackers allow in a name.
_ODD = re.compile(r"[^\w\-. /]")


@dataclass
class Record:
    """Reads what is done of a run, as its checkpoint grows; `windows` are filled by the training meanwhile."""

    run: RunFolder
    windows: Sequence[Window]
    _stamp: tuple[int, int] = (0, 0)
    _n_windows: int = 0
    _n_epochs: int = 0
    _batches: int = 0
    _rates: list[Stretch] = field(default_factory=list)

    @property
    def position(self) -> tuple[int, int]:
        """The epochs and batches that were given out so far."""
        return self._n_epochs, self._batches

    def new_items(self) -> list[Item]:
        """Return what the checkpoint counts as done since the last call. Raises OSError or ValueError."""
        state = self.run.last.stat()
        stamp = state.st_mtime_ns, state.st_size
        if stamp == self._stamp:
            return []
        header = read_last(self.run.last)
        self._stamp = stamp
        return [*self._items(header)]

    def _items(self, header: Header) -> Iterator[Item]:
        resumption = header.going_on()
        self._rates = [*read_rates(self.run, resumption.rates)]
        done, epochs = resumption.position.t, header.history
        while True:
            window = self.windows[self._n_windows] if self._n_windows < len(self.windows) else None
            ends = math.inf if window is None or window.end > done + TOLERANCE else window.end
            if self._n_epochs < len(epochs) and self._n_epochs + 1 < ends - TOLERANCE:
                yield self._epoch(epochs[self._n_epochs], resumption.position.n_batches)
            elif window is not None and math.isfinite(ends):
                self._batches += window.n
                self._n_windows += 1
                yield Item(self._batches, self._batches, self._of_window(window))
            else:
                return

    def _epoch(self, result: EpochResult, n_batches: int) -> Item:
        self._n_epochs += 1
        # An older run has no windows.
        self._batches = max(self._batches, self._n_epochs * n_batches if not self.windows else 0)
        return Item(self._n_epochs, self._batches, of_epoch(result))

    def _of_window(self, window: Window) -> Mapping[str, float]:
        values = {f"{BATCH}loss": window.loss, f"{BATCH}gradient_norm": window.norm}
        for stretch in self._rates:
            batch = round((window.end - stretch.epoch) * stretch.n_batches) - 1
            if stretch.first <= batch < stretch.first + stretch.n:
                rate = stretch.rates()[batch - stretch.first]
                values |= {f"{BATCH}lr {_ODD.sub('_', name)}": rate * share for name, share in stretch.shares.items()}
        return finite(values)


def of_epoch(result: EpochResult) -> Mapping[str, float]:
    """Return the numbers of an epoch by name, as a line of history.jsonl has them; what is NaN is left out."""
    return finite({name: float(value) for name, value in result.as_record().items() if name != "epoch"})


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values that are numbers."""
    return {name: value for name, value in values.items() if math.isfinite(value)}


def unwritten(items: Sequence[Item], last: Mapping[str, int]) -> Iterator[Item]:
    """Yield what of the items is not in a track yet, in which each value has a last step."""
    for item in items:
        values = {name: value for name, value in item.values.items() if item.step > last.get(name, -1)}
        if values:
            yield Item(item.step, item.batches, values)
