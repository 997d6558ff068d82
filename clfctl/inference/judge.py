"""What int8 costs and brings: accuracy on images that it was not calibrated on, with the interval, and speed."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clfctl.evaluation.outputs import Outputs
from clfctl.evaluation.paired import difference_interval
from clfctl.inference.predictor import Predictor, Seen

N_WARM, N_TURNS, LEAST_S = 3, 15, 1.0


@dataclass(frozen=True)
class Speed:
    """Milliseconds for one image in one thread before and after, taken in turn: the medians, and that of the ratios."""

    ms_before: float
    ms_after: float
    times: float


@dataclass(frozen=True)
class Judged:
    """A model of 8 bits beside that of float32 which it was made of.

    Shares of `n_images` of the `n_held_out` that were right, and the interval of the difference (after - before) at
    95 %. `way` and `n_calibrated` say how it was made.
    """

    way: str
    n_calibrated: int
    n_images: int
    n_held_out: int
    split: str
    before: float
    after: float
    low: float
    high: float
    speed: Speed

    @property
    def loss(self) -> float:
        """The share of the images that are right no more."""
        return self.before - self.after

    def as_record(self) -> dict[str, Any]:
        """Return what the file's metadata says of it."""
        return asdict(self)

    def lines(self) -> Sequence[str]:
        """Return sentences for people."""
        of_all = f"{self.n_images}" + (f" of {self.n_held_out}" if self.n_images < self.n_held_out else "")
        points = (
            f"{_points(self.after - self.before)} points, 95 % interval {_points(self.low)} to {_points(self.high)}"
        )
        rate, speed = f"{self.speed.times:.2f} times as fast as float32", self.speed
        return (
            f"int8 ({self.way}; calibrated on {self.n_calibrated} training images):",
            f"  right on {of_all} {self.split} images: {self.after:.1%}, float32 {self.before:.1%} ({points})",
            f"  an image in one thread: {speed.ms_after:.1f} ms, float32 {speed.ms_before:.1f} ms: {rate}",
        )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−").replace("+0.0", "0.0").replace("−0.0", "0.0")


def differences(before: Outputs, after: Outputs) -> tuple[float, float, float, float]:
    """Return the accuracy of both, and the interval of the difference (after - before), over the same images."""
    right_before, right_after = (each.predicted == each.labels for each in (before, after))
    counts = right_after & right_before, right_after & ~right_before, right_before & ~right_after
    both, only_after, only_before = (int(each.sum()) for each in counts)
    limits = difference_interval(both, only_after, only_before, len(right_before) - both - only_after - only_before)
    return float(right_before.mean()), float(right_after.mean()), limits.low, limits.high


def speed_of(before: Predictor, after: Predictor, seen: Seen) -> Speed:
    """Return what one image costs both, asked in turn: what else the machine does slows both, or neither."""
    for each in (before, after) * N_WARM:
        each.probabilities([seen])
    pairs, began = list[tuple[float, float]](), time.perf_counter()
    while len(pairs) < N_TURNS or time.perf_counter() - began < LEAST_S:
        pairs.append((_seconds(before, seen), _seconds(after, seen)))
    one, other = (1000 * statistics.median(each) for each in zip(*pairs, strict=True))
    return Speed(one, other, float(np.median([first / second for first, second in pairs])))


def _seconds(predictor: Predictor, seen: Seen) -> float:
    started = time.thread_time()
    predictor.probabilities([seen])
    return time.thread_time() - started
