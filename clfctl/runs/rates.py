"""The learning rates that a run's optimizer had, batch by batch, as they were read back from its param groups.

`rates.jsonl` has a line for each stretch of an epoch, written before the checkpoint that counts the epoch as finished;
the batches of the running epoch are in the checkpoint itself. So both say the same wherever a run goes on from.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from clfctl.runs.folder import RunFolder
from clfctl.storage.json_lines import append_json_line, dump_json, read_json_lines, write_json_lines


class GroupRate(NamedTuple):
    """A param group at a step: its `share` of the base rate, 0 while it is frozen, and the `rate` that it had."""

    name: str
    share: float
    rate: float


@dataclass
class Run:
    """The same rate in `n` batches, one after the other."""

    rate: float
    n: int = 1


@dataclass
class Other:
    """A rate that a group had in `n` batches from `batch` on (from 0) that is not its share of the others'."""

    batch: int
    group: str
    rate: float
    n: int = 1


@dataclass
class Stretch:
    """Batches of an epoch, one after the other, in which the param groups had the same `shares` of the rate.

    `epoch` and `first` count from 0; an epoch has `n_batches`. `runs` are the rates that were written, `others` what
    was read back where it was not what had been written.
    """

    epoch: int
    first: int
    n_batches: int
    shares: Mapping[str, float]
    runs: list[Run] = field(default_factory=list)
    others: list[Other] = field(default_factory=list)
    n: int = 0

    def add(self, lr: float, groups: Iterable[GroupRate]) -> None:
        """Take the next batch: the rate that was written, and what the groups had."""
        batch = self.first + self.n
        self.n += 1
        if self.runs and self.runs[-1].rate == lr:
            self.runs[-1].n += 1
        else:
            self.runs.append(Run(lr))
        for name, share, rate in groups:
            if rate != lr * share:
                self._add_other(Other(batch, name, rate))

    def _add_other(self, new: Other) -> None:
        last = next((each for each in reversed(self.others) if each.group == new.group), None)
        if last and last.rate == new.rate and last.batch + last.n == new.batch:
            last.n += 1
        else:
            self.others.append(new)

    def rates(self) -> list[float]:
        """Return the rate of each of its batches."""
        return [run.rate for run in self.runs for _ in range(run.n)]

    def applied(self) -> list[float]:
        """Return the rate that was read back in each of its batches: of the first param group that is trained."""
        rates = self.rates()
        name = next((name for name, share in self.shares.items() if share), None)
        for other in self.others:
            if other.group == name:
                at = other.batch - self.first
                rates[at : at + other.n] = [other.rate / self.shares[name]] * other.n
        return rates

    def as_record(self) -> dict[str, Any]:
        """Return what `from_record` reads: people count from 1; `[rate, n]` stands for n batches, a number for one."""
        return {
            "epoch": self.epoch + 1,
            "batch": self.first + 1,
            "n_batches": self.n_batches,
            "lr": [[run.rate, run.n] if run.n > 1 else run.rate for run in self.runs],
            "groups": dict(self.shares),
            **({"others": [[o.batch + 1, o.n, o.group, o.rate] for o in self.others]} if self.others else {}),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read a line. Raises KeyError, TypeError or ValueError if it is none."""
        pairs = (each if isinstance(each, list) else (each, 1) for each in record["lr"])
        runs = [Run(float(rate), int(n)) for rate, n in pairs]
        others = [Other(int(at) - 1, str(name), float(rate), int(n)) for at, n, name, rate in record.get("others", ())]
        shares = {str(name): float(share) for name, share in record["groups"].items()}
        first, n_batches = int(record["batch"]) - 1, int(record["n_batches"])
        return cls(int(record["epoch"]) - 1, first, n_batches, shares, runs, others, sum(run.n for run in runs))


class EpochRates:
    """The stretches of the running epoch, as it is trained."""

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.stretches = [Stretch.from_record(record) for record in records]

    def add(self, epoch: int, batch: int, n_batches: int, lr: float, groups: Sequence[GroupRate]) -> None:
        """Take a batch, counted from 0, of an epoch: the rate that was written for it, and what the groups had."""
        shares = {group.name: group.share for group in groups}
        if not self.stretches or self.stretches[-1].shares != shares:
            self.stretches.append(Stretch(epoch, batch, n_batches, shares))
        self.stretches[-1].add(lr, groups)

    def clear(self) -> None:
        """Begin an epoch."""
        self.stretches = []

    def as_records(self) -> list[dict[str, Any]]:
        """Return what a new one is made of."""
        return [each.as_record() for each in self.stretches]


def keep_rates(run: RunFolder, rates: EpochRates) -> None:
    """Add the stretches of an epoch to the run's. Raises WriteError; there may be half a line then."""
    for record in rates.as_records():
        append_json_line(run.rates, record)


def cut_rates(run: RunFolder, epoch: int) -> None:
    """Leave no rates of an epoch that is still to be trained, from 0, nor half a line. Raises WriteError."""
    records = read_json_lines(run.rates)
    kept = [record for record in records if isinstance(number := record.get("epoch"), int) and number <= epoch]
    text = "".join(f"{dump_json(record)}\n" for record in kept)
    if run.rates.exists() and run.rates.read_text(encoding="utf-8", errors="replace") != text:
        write_json_lines(run.rates, kept)


def read_rates(run: RunFolder, running: Iterable[Mapping[str, Any]] = ()) -> Iterator[Stretch]:
    """Yield the stretches of a run in their order, with those of the `running` epoch, as its checkpoint has them.

    An older run has none. What cannot be read ends them.
    """
    records = read_json_lines(run.rates)
    known = {record.get("epoch") for record in records}
    for record in (*records, *(each for each in running if each.get("epoch") not in known)):
        try:
            yield Stretch.from_record(record)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return
