"""A track: one course that a learning rate may take or has taken, or what else is drawn. No torch, no rich."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clfctl.errors import UsageError
from clfctl.planning.plan import Plan
from clfctl.planning.preview.batches import Batches
from clfctl.planning.quantities import LEARNING_RATE, Quantity
from clfctl.schedules import Rate, Segment, before, sample_curve
from clfctl.schedules.sampling import rates_in, rates_of

if TYPE_CHECKING:
    from clfctl.planning.preview.applied import Applied

# Batches whose rates are held at a time.
MOST_BATCHES = 4096


@dataclass(frozen=True)
class Track:
    """The learning rate of a subject over `epochs`.

    `used` holds (start, end) of the learning rate of each epoch that was trained already; training goes on at `begins`,
    in epochs, after a step with the rate `last_lr`. `metrics` are the monitored metric of the epochs where it
    is known or assumed; `case` says what is assumed. `n_batches` are those of an epoch, None: not known. `notes` are
    sentences about a run that another version of clfctl wrote; `applied` is the run's record of what was written.

    Of another `quantity` than the learning rate, `plan` has it in that place, and so has all that is said of rates
    here. `group` is the param group whose rate it is, empty: the base rate.
    """

    subject: str
    plan: Plan
    epochs: int
    metrics: Sequence[float] = ()
    n_batches: int | None = None
    used: tuple[tuple[float, float], ...] = ()
    begins: float = 0.0
    last_lr: float = 0.0
    segments: tuple[Segment, ...] = ()
    case: str = ""
    notes: tuple[str, ...] = ()
    applied: "Applied | None" = None
    quantity: Quantity = LEARNING_RATE
    group: str = ""

    @property
    def name(self) -> str:
        """The subject, and which param group and case of it this is."""
        return ", ".join(filter(None, (self.subject, self.group, self.case)))

    @property
    def done(self) -> int:
        """Epochs that were trained."""
        return len(self.used)

    def points(self, per_epoch: int = 0) -> list[tuple[float, float]]:
        """Return (time in epochs, learning rate) for drawing, or of every batch if `per_epoch` says how many."""
        curve = sample_curve(self.plan.schedule, self.plan.base_lr, self.epochs, self.metrics, per_epoch)
        if not self.begins:
            return curve
        trained = [p for n, (start, end) in enumerate(self.used) for p in ((float(n), start), (n + 1.0, end))]
        if self.begins > self.done:
            trained.append((self.begins, self.last_lr))
        return [*trained, *self._seam_point(), *(point for point in curve if point[0] > self.begins)]

    def rates(self, epochs: Sequence[int] | None = None) -> Iterator[tuple[int, float, float]]:
        """Yield (epoch, learning rate of its first step, of its last); without batches, at its very end.

        `epochs` (from 0, ascending) are those asked for, None: all.
        """
        n = self.n_batches
        for epoch, rate in self._by_epoch(range(self.epochs) if epochs is None else epochs):
            if epoch < self.done:
                yield epoch + 1, *self.used[epoch]
                continue
            last = epoch + (n - 1) / n if n else before(epoch + 1)
            yield epoch + 1, rate(max(epoch, self.begins)), rate(last)

    def batches(self) -> Iterator[Batches]:
        """Yield the learning rates of every batch, in pieces; of a run's record, those that were applied too.

        Raises UsageError if it is not known how many there are.
        """
        n = self.n_batches
        if not n:
            hint = "say with `steps_per_epoch=` how many batches an epoch has"
            raise UsageError(f"{self.subject} is of no data, so it is not known which batches there are", hint)
        recorded = self.applied.epochs() if self.applied else iter(())
        next_one = next(recorded, None)
        for epoch, rate in self._by_epoch(range(self.epochs)):
            at = 0
            while next_one and next_one.epoch <= epoch + 1:
                yield from _pieces(epoch, at, next_one.first - 1, n, rate)
                yield next_one
                at, next_one = next_one.first - 1 + len(next_one.rates), next(recorded, None)
            if not at or epoch >= self.done:  # else the epoch had as many batches as are recorded
                yield from _pieces(epoch, at, n, n, rate)

    def seam(self) -> tuple[float, float] | None:
        """Return the learning rate before and after the place from which training goes on; None without one."""
        if not 0 < self.begins < self.epochs:
            return None
        return self.last_lr, self.plan.lr(self.begins, self.metrics[: self.done])

    def _by_epoch(self, epochs: Sequence[int]) -> Iterator[tuple[int, Rate]]:
        return rates_of(self.plan.schedule, self.plan.base_lr, epochs, self.metrics)

    def _seam_point(self) -> list[tuple[float, float]]:
        seam = self.seam()
        return [(self.begins, seam[1])] if seam else []


def _pieces(epoch: int, first: int, end: int, n: int, rate: Rate) -> Iterator[Batches]:
    """Yield the batches of an epoch from `first` to `end`, of `n` that it has, all counted from 0."""
    for start in range(first, end, MOST_BATCHES):
        some = range(start, min(end, start + MOST_BATCHES))
        yield Batches(epoch + 1, start + 1, rates_in(rate, epoch, some, n))
