"""What a range test found: four rates, how far repeated sweeps agree, and whether to trust them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from clfctl.finding import suggest
from clfctl.finding.numbers import middle_of
from clfctl.finding.sweep import Extent, Sweep
from clfctl.finding.usual import MEANINGS, TAKEN

# The loss has to fall by so many times what chance makes of it, and by this share of what it was.
CLEAR, LEAST_FALL = 3.0, 0.02
# Sweeps agree if their largest rate is no more than so many times the smallest.
AGREE = 10.0
# A sweep that shows each image more often says little: the loss falls because they come back.
MOST_TIMES = 5.0


@dataclass(frozen=True)
class Suggestion:
    """A rate by one method: the median of all sweeps, and their smallest and largest."""

    name: str
    lr: float
    low: float
    high: float

    @property
    def meaning(self) -> str:
        """What is said of rates of this method."""
        return MEANINGS[self.name]


@dataclass(frozen=True)
class RateFinding:
    """What a range test found.

    `suggestions` are those of MEANINGS that there are. `notes` are sentences that are worth knowing, `doubts` those for
    which its rates are not to be trusted. `shares` has the rate of each param group that was trained, as a multiple of
    what was found, where they are not all the same.
    """

    sweeps: tuple[Sweep, ...]
    suggestions: tuple[Suggestion, ...]
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_trusted(self) -> bool:
        """Whether there is a rate, and nothing speaks against it."""
        return bool(self.suggestions) and not self.doubts

    @property
    def lr(self) -> float | None:
        """The rate to take, to two digits: no range test knows more. None if there is none."""
        return self.rate(TAKEN)

    def rate(self, name: str) -> float | None:
        """Return the rate of a method, to two digits; None if it has none."""
        return next((rounded(each.lr) for each in self.suggestions if each.name == name), None)


def rounded(lr: float) -> float:
    """Return a rate to two digits."""
    return float(f"{lr:.1e}")


def judge(sweeps: Sequence[Sweep]) -> RateFinding:
    """Return what sweeps found, of which there is one at least."""
    found = {name: [rate for each in sweeps if (rate := _rates_of(each).get(name)) is not None] for name in MEANINGS}
    suggestions = tuple(
        Suggestion(name, _middle(rates), min(rates), max(rates)) for name, rates in found.items() if rates
    )
    return RateFinding(tuple(sweeps), suggestions, tuple(_doubts(sweeps, suggestions)), tuple(_notes(sweeps)))


def _rates_of(sweep: Sweep) -> dict[str, float | None]:
    rates, losses = sweep.judged()
    if len(rates) < suggest.LEAST_POINTS:
        return {}
    extent = sweep.extent
    # Slopes are those of a step, and steps are shorter where there are more.
    threshold = suggest.SLIDE_THRESHOLD * 100 / extent.n_steps
    return {
        "valley": suggest.valley(rates, losses),
        "steepest": suggest.steepest(rates, losses),
        "slide": suggest.slide(rates, losses, extent.n_slide, threshold),
        "minimum": suggest.minimum(rates, losses),
    }


def _middle(rates: Sequence[float]) -> float:
    """Return the median of rates; of two in the middle the geometric mean."""
    ordered = sorted(rates)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else math.sqrt(low * high)


def _doubts(sweeps: Sequence[Sweep], suggestions: Sequence[Suggestion]) -> Iterator[str]:
    """Yield why the rates are not to be trusted."""
    extent = sweeps[0].extent
    if sweeps[0].end == "out of time":
        yield f"the time was over at a rate of {sweeps[0].rates[-1]:.2g}, before the loss rose"
        return
    taken = next((each for each in suggestions if each.name == TAKEN), None)
    if taken is None:
        n = max(len(each.losses) for each in sweeps)
        yield (
            f"the loss explodes after {n} steps already, at {sweeps[0].rates[-1]:.2g}: begin with smaller rates, "
            f"`start_lr={extent.start_lr / 1000:g}`"
        )
        return
    if 2 * sum(map(_is_flat, sweeps)) >= len(sweeps):
        fall, noise = middle_of(map(_fall, sweeps)), middle_of(each.noise for each in sweeps)
        what = f"the loss falls by {fall:.2g} in all, and chance makes {noise:.2g} of it"
        yield f"{what}: too noisy to trust; a larger `batch_size=` or more `steps=` show more"
    elif taken.high > AGREE * taken.low:
        band = f"{taken.low:.2g} to {taken.high:.2g}"
        yield f"the sweeps do not agree, {band}: too noisy to trust; more `steps=` or a larger `batch_size=` show more"


def _notes(sweeps: Sequence[Sweep]) -> Iterator[str]:
    """Yield what is worth knowing of the curves."""
    extent = sweeps[0].extent
    if not any(map(_rises, sweeps)):
        yield (
            f"the loss never rose clearly, up to a rate of {extent.end_lr:g}: how large a rate it bears is not known; "
            f"sweep on to `end_lr={100 * extent.end_lr:g}`"
        )


def note_on_images(extent: Extent, n_batches: int) -> str:
    """Return a sentence if a sweep over an epoch of so many batches shows each image many times, else nothing."""
    times = extent.n_steps / n_batches
    if times <= MOST_TIMES:
        return ""
    batches = "one batch" if n_batches == 1 else f"{n_batches} batches"
    shown = f"an epoch has {batches}, so that a sweep shows each image {times:.0f} times"
    return f"{shown}: the loss falls because they are known too, and the rates are rather too large than too small"


def _fall(sweep: Sweep) -> float:
    _, means = sweep.judged()
    return means[0] - min(means) if means else 0.0


def _is_flat(sweep: Sweep) -> bool:
    _, means = sweep.judged()
    return not means or _fall(sweep) < max(CLEAR * sweep.noise, LEAST_FALL * abs(means[0]))


def _rises(sweep: Sweep) -> bool:
    if sweep.end in ("diverged", "not finite"):
        return True
    means = sweep.means
    return bool(means) and means[-1] - min(means) > max(CLEAR * sweep.noise, LEAST_FALL * abs(means[0]))


def record_of(found: RateFinding) -> dict[str, object]:
    """Return what was found, as JSON can hold it."""
    return {
        "lr": found.lr,
        "trusted": found.is_trusted,
        "suggestions": {
            each.name: {"lr": each.lr, "low": each.low, "high": each.high, "meaning": each.meaning}
            for each in found.suggestions
        },
        "doubts": list(found.doubts),
        "notes": list(found.notes),
        "groups": dict(found.shares),
        "sweeps": [
            {
                "seed": each.seed,
                "end": each.end,
                "lr": each.rates,
                "loss": list(each.losses),
                "smoothed": each.means,
            }
            for each in found.sweeps
        ],
    }
