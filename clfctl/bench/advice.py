"""What to set, from what was measured: rules that a test can hold against any numbers. No torch here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from clfctl.bench.rows import NONE, LoaderRow, Rates
from clfctl.storage.files import in_bytes

SAME = 0.02  # a gain that is not worth another worker, however steady the machine is
GAIN = 0.05  # what a cache must gain at least to be worth its space
PLENTY = 4.0  # at this many times what the model takes, more cannot matter
MARGIN = 1.25  # how much faster than the model its data should be: windows are medians, batches are not


@dataclass(frozen=True)
class CacheFacts:
    """What a cache of all images would cost, estimated from that of the sample: bytes and seconds to build it.

    `free` is the room in bytes where it would lie; `memory` what is free in memory, from which it is read fast.
    """

    n_bytes: int
    build_s: float
    free: int
    memory: int


@dataclass(frozen=True)
class Training:
    """How long what is recommended would be used: images of an epoch, and epochs."""

    n_images: int
    epochs: int


@dataclass(frozen=True)
class Advice:
    """The row to take, and why, in sentences."""

    row: LoaderRow
    reasons: tuple[str, ...]


def smallest(rows: Sequence[LoaderRow]) -> LoaderRow:
    """Return the row of fewest workers that is within the spread of the best.

    Without workers (0) nothing is made ahead while the model computes: that is taken only if no other row is as good.
    """
    best = fastest(rows)
    enough = [row for row in rows if row.rates.median >= _as_good(best.rates)]
    return min([row for row in enough if row.workers] or enough, key=lambda row: row.workers)


def fastest(rows: Iterable[LoaderRow]) -> LoaderRow:
    """Return the row with the highest median."""
    return max(rows, key=lambda row: row.rates.median)


def _as_good(best: Rates) -> float:
    return min(best.low, (1 - SAME) * best.median)


def candidates(rows: Sequence[LoaderRow], model: Rates) -> list[LoaderRow]:
    """Return the rows worth training with: of each cache the smallest that feeds the model, and the smallest best.

    Where a row without cache feeds many times what the model takes, that one alone.
    """
    found: list[LoaderRow] = []
    for kind, of_kind in by_cache(rows).items():
        fed = [row for row in of_kind if row.workers and row.rates.low >= MARGIN * model.median]
        if kind == NONE and fed and is_plenty(fed[0], model):
            return fed[:1]
        found += [*fed[:1], smallest(of_kind)]
    return list(dict.fromkeys(found))


def by_cache(rows: Iterable[LoaderRow]) -> dict[str, list[LoaderRow]]:
    """Return the rows of each kind of cache, by their workers; those without cache come first."""
    found: dict[str, list[LoaderRow]] = {NONE: []}
    for row in sorted(rows, key=lambda row: row.workers):
        found.setdefault(row.cache, []).append(row)
    return found


def is_plenty(row: LoaderRow, model: Rates) -> bool:
    """Return whether a row feeds many times what the model takes."""
    return row.workers > 0 and row.rates.low >= PLENTY * model.median


def plenty(row: LoaderRow, model: Rates) -> Advice:
    """Return the advice to take the only row worth training with: one that feeds many times what the model takes."""
    times = f"{row.rates.median / model.median:,.0f} times what the model takes"
    workers = f"{row.workers} worker{'s' * (row.workers != 1)}"
    return Advice(row, (f"{workers} can feed {row.rates.median:,.0f} images/s, {times}: more would gain nothing.",))


def advise(rows: Sequence[LoaderRow], caches: Mapping[str, CacheFacts], training: Training) -> Advice:
    """Return which row to take: as few workers as are as good as the most, a cache only where it gains and fits."""
    kinds = by_cache(rows)
    chosen = smallest(kinds[NONE])
    reasons = [_why_workers(chosen, kinds[NONE])]
    for kind, facts in caches.items():
        if kind not in kinds:
            continue
        cached, plain = fastest(kinds[kind]), fastest(kinds[NONE])
        against = why_not(facts, cached.rates, plain.rates, training)
        if against:
            reasons.append(f"`cache={kind}`: no, {against}.")
            continue
        gain = cached.rates.median / plain.rates.median
        chosen = smallest(kinds[kind])
        reasons = [
            f"`cache={kind}` is {gain:.1f} times as fast as without. For all images it takes about "
            f"{in_bytes(facts.n_bytes)}, and {facts.build_s:,.0f} s to build it once (both estimated from the sample).",
            _why_workers(chosen, kinds[kind]),
        ]
        break
    return Advice(chosen, tuple(reasons))


def feed_for(rows: Sequence[LoaderRow], model: Rates) -> LoaderRow:
    """Return the row that a model is to be compared with: one without cache if that feeds it, else the best of all."""
    plain = smallest(by_cache(rows)[NONE])
    return plain if slower_of(plain.rates, model) == "model" else smallest(rows)


def slower_of(feed: Rates, model: Rates) -> Literal["model", "data", "both"]:
    """Return what limits training; both, where their spreads meet."""
    if max(feed.low, model.low) <= min(feed.high, model.high):
        return "both"
    return "model" if feed.median > model.median else "data"


def bottleneck(feed: LoaderRow, model: Rates) -> str:
    """Return in a sentence which of the two limits training: what a row feeds, or what the model takes."""
    with_cache = f" from `cache={feed.cache}`" if feed.cache != NONE else ""
    fed = f"{feed.workers} worker{'s' * (feed.workers != 1)} can feed {feed.rates.median:,.0f}{with_cache}"
    taken = f"{model.median:,.0f} images/s"
    match slower_of(feed.rates, model):
        case "both":
            return f"Both are as fast: the model takes {taken}, and {fed}."
        case "model":
            return f"The model is the bottleneck: it takes {taken}, and {fed}."
        case "data":
            return f"The data are the bottleneck: the model could take {taken}, and {fed}."


def why_not(facts: CacheFacts, cached: Rates, plain: Rates, training: Training) -> str:
    """Return why a cache should not be used, in words that go on after `no,`; empty if it should."""
    if cached.low <= plain.high or cached.median < (1 + GAIN) * plain.median:
        return f"it does not gain ({cached.median:,.0f} images/s with it, {plain.median:,.0f} without)"
    size = f"it would take about {in_bytes(facts.n_bytes)}"
    if facts.n_bytes > facts.free:
        would_fit = "; `cache=ram` would fit" if facts.n_bytes <= facts.memory else ""
        return f"{size}, and {in_bytes(facts.free)} are free there{would_fit}"
    if facts.n_bytes > facts.memory:
        return f"{size}, and {in_bytes(facts.memory)} of memory are free: it would be read from the disk, unmeasured"
    saved = training.epochs * training.n_images * (1 / plain.median - 1 / cached.median)
    if saved < facts.build_s:
        n = f"{training.epochs} epoch{'s' if training.epochs > 1 else ''}"
        return f"building it takes about {facts.build_s:,.0f} s, and {n} would save {saved:,.0f} s"
    return ""


def _why_workers(chosen: LoaderRow, rows: Sequence[LoaderRow]) -> str:
    best = fastest(rows)
    rates = best.rates
    if chosen != best:
        within = f"{chosen.rates.median:,.0f} images/s, as good as the {rates.median:,.0f} of {best.workers}"
        return f"`workers={chosen.workers}`: the smallest number within the spread of the best ({within})."
    has_fewer = any(0 < row.workers < chosen.workers for row in rows)
    why = "fewer are slower by more than the spread" if has_fewer else "more are not faster"
    return f"`workers={chosen.workers}`: the fastest, {rates.median:,.0f} images/s; {why}."
