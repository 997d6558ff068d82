"""What was measured: rates of several windows, of a stage, of the loader. No torch here."""

import statistics
from dataclasses import dataclass

NONE = "none"  # no cache
COPY = "copy to device"  # the one stage that is the training thread's; the others are the workers'


@dataclass(frozen=True)
class Rates:
    """Images/s of each window of a measurement, at least one window."""

    windows: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle window's images/s."""
        return statistics.median(self.windows)

    @property
    def low(self) -> float:
        """A quarter of the windows are slower: one disturbed window of five says nothing."""
        return self._quartiles()[0]

    @property
    def high(self) -> float:
        """A quarter of the windows are faster."""
        return self._quartiles()[2]

    def _quartiles(self) -> list[float]:
        # Of a single window Python 3.11 and 3.12 have no quartiles.
        windows = self.windows if len(self.windows) > 1 else self.windows * 2
        return statistics.quantiles(windows, n=4, method="inclusive")


@dataclass(frozen=True)
class LoaderRow:
    """What the loader reached with a number of workers and a kind of cache; memory in bytes, of the whole process."""

    workers: int
    cache: str
    rates: Rates
    peak_memory: int


@dataclass(frozen=True)
class Stage:
    """A stage: seconds an image in the middle batch, its share of the sum of all stages, and images/s of it alone."""

    name: str
    seconds: float
    share: float
    rates: Rates


def ratio(ours: Rates, other: Rates) -> float:
    """Return how many times as fast ours is: the median over the turns that both had."""
    return statistics.median(a / b for a, b in zip(ours.windows, other.windows, strict=False))
