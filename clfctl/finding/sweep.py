"""A range test (Smith 2015, arXiv:1506.01186): the rate rises by the same factor at each step until the loss does.

Its length and its numbers are those of fastai's LRFinder.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from clfctl.errors import UsageError
from clfctl.finding.numbers import deviation_of, mean_of
from clfctl.finding.usual import END_LR, N_STEPS, START_LR

# With fewer, a step is more than a third of a decade.
LEAST_STEPS, MOST_STEPS, MOST_REPEATS = 25, 2000, 100
# What the past weighs in the mean of the losses, in a sweep of N_STEPS.
WEIGHT = 0.98
# A sweep ends when the mean is so many times its least.
DIVERGED = 4.0
# And above what chance makes of the first losses, whose rates are too small to do anything: in standard deviations.
BEYOND_CHANCE = 4.0

End = Literal["diverged", "not finite", "at the end", "out of time"]


@dataclass(frozen=True)
class Extent:
    """From which rate to which a sweep goes, in how many steps. Raises UsageError for what is not a sweep."""

    start_lr: float = START_LR
    end_lr: float = END_LR
    n_steps: int = N_STEPS

    def __post_init__(self) -> None:
        for field, rate in (("start_lr", self.start_lr), ("end_lr", self.end_lr)):
            if not (math.isfinite(rate) and rate > 0):
                raise UsageError(f"{rate:g} is not allowed; it must be a number greater than 0", field=field)
        if self.end_lr < 10 * self.start_lr:
            what = f"{self.end_lr:g} is less than ten times {self.start_lr:g}, at which the sweep starts"
            raise UsageError(what, f"let it rise to `end_lr={100 * self.start_lr:g}` or more", field="end_lr")
        if not LEAST_STEPS <= self.n_steps <= MOST_STEPS:
            what = f"{self.n_steps} is not allowed; it must be {LEAST_STEPS} to {MOST_STEPS:,}"
            raise UsageError(what, "fewer steps are too coarse to tell anything", field="steps")

    def rates(self) -> list[float]:
        """Return the rate of each step; the last is one step below the end."""
        factor = self.end_lr / self.start_lr
        return [self.start_lr * factor ** (n / self.n_steps) for n in range(self.n_steps)]

    @property
    def weight(self) -> float:
        """What the past weighs in the mean of the losses: as far back in rates, however many steps there are."""
        return float(WEIGHT ** (N_STEPS / self.n_steps))

    @property
    def n_first(self) -> int:
        """Steps at the beginning whose rates are too small to do anything: left out of what is judged."""
        return self.n_steps // 10

    @property
    def n_last(self) -> int:
        """Steps at the end that are left out: there the loss only explodes."""
        return self.n_steps // 20

    @property
    def n_slide(self) -> int:
        """Steps that the interval slide rule is long."""
        return max(1, round(0.15 * self.n_steps))


def debiased_means(losses: Sequence[float], weight: float) -> list[float]:
    """Return the exponential mean up to each loss, divided by what all its weights sum up to, as fastai's.

    Without that division the first means would lie near 0.
    """
    means, total, rest = list[float](), 0.0, 1.0
    for loss in losses:
        total, rest = weight * total + (1 - weight) * loss, rest * weight
        means.append(total / (1 - rest))
    return means


def has_diverged(losses: Sequence[float], means: Sequence[float], n_first: int) -> bool:
    """Return whether the mean has risen so far that no larger rate has to be tried.

    Losses near 0, of a network that is trained already, rise to four times the least by chance alone.
    """
    if len(losses) <= n_first:
        return False
    first = losses[:n_first]
    return means[-1] > DIVERGED * min(means) and means[-1] > mean_of(first) + BEYOND_CHANCE * deviation_of(first)


@dataclass(frozen=True)
class Sweep:
    """One sweep: the loss of each step and the rate that the step was made with, and why there are no more.

    `seed` is that of order, augmentation and whatever else was drawn.
    """

    extent: Extent
    seed: int
    losses: tuple[float, ...]
    end: End

    @property
    def rates(self) -> list[float]:
        """The rate of each loss."""
        return self.extent.rates()[: len(self.losses)]

    @property
    def means(self) -> list[float]:
        """The smoothed losses."""
        return debiased_means(self.losses, self.extent.weight)

    def judged(self) -> tuple[list[float], list[float]]:
        """Return rates and smoothed losses of what is judged."""
        kept = slice(self.extent.n_first, max(0, len(self.losses) - self.extent.n_last))
        return self.rates[kept], self.means[kept]

    @property
    def noise(self) -> float:
        """What chance makes of a fall of the smoothed loss, a standard deviation, by how losses differ that follow.

        The first mean is that of few losses. After the least one they differ because the rates are too large.
        """
        means, first = self.means, self.extent.n_first
        later = means[first:] or means
        steady = self.losses[: len(means) - len(later) + later.index(min(later)) + 1]
        squares = [(after - before) ** 2 for before, after in pairwise(steady)]
        weight = self.extent.weight
        shares = 1 / (first + 1) + (1 - weight) / (1 + weight)
        return math.sqrt(mean_of(squares) / 2 * shares) if squares else 0.0
