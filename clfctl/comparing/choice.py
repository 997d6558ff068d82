"""Which of the compared models to use: of those that cannot be told from the most accurate, the fastest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clfctl.comparing.pairs import Pair, holm
from clfctl.comparing.speed import Cost

# Latencies as near as that are the same.
NEAR = 1.1


@dataclass(frozen=True)
class Choice:
    """The place of the run to deploy, and why, a sentence each."""

    run: int
    why: tuple[str, ...]


def choose(accuracies: Sequence[float], costs: Sequence[Cost], pairs: Sequence[Pair], names: Sequence[str]) -> Choice:
    """Return which run to deploy; `names` are what the sentences call them.

    Those that McNemar's test cannot tell from the most accurate are as good as far as the images tell. Of them the
    fastest for one image is taken; of those as fast, the smallest; of those as small, the most accurate.
    """
    top = max(range(len(accuracies)), key=lambda place: (accuracies[place], -costs[place].latency_ms))
    of_top = _beside(top, pairs)
    equal = [top, *(place for place, pair in of_top.items() if not pair.is_told_apart)]
    fastest = min(costs[place].latency_ms for place in equal)
    near = [place for place in equal if costs[place].latency_ms <= NEAR * fastest]
    chosen = min(near, key=lambda place: (costs[place].n_bytes, -accuracies[place], place))
    why = [_beside_top(chosen, top, of_top[chosen], costs, names)] if chosen != top else [_top(top, equal, names)]
    if chosen == top:
        why += _cheaper(top, of_top, costs, names)
    return Choice(chosen, tuple(why))


def _beside(top: int, pairs: Sequence[Pair]) -> dict[int, Pair]:
    """Return the pair of each other run with the most accurate one, their p values corrected among themselves alone.

    Among all pairs that could be looked at, those of bad runs included, nothing would be told apart in the end.
    """
    found = {place: pair for pair in pairs for place in _other(pair, top)}
    corrected = holm([pair.p for pair in found.values()])
    return {place: replace(pair, p_holm=p) for (place, pair), p in zip(found.items(), corrected, strict=True)}


def _other(pair: Pair, top: int) -> tuple[int, ...]:
    """Return the other run of a pair of the most accurate one."""
    return (pair.second,) if pair.first == top else (pair.first,) if pair.second == top else ()


def _top(top: int, equal: Sequence[int], names: Sequence[str]) -> str:
    others = [names[place] for place in equal if place != top]
    if not others:
        rest = [name for place, name in enumerate(names) if place != top]
        whom = rest[0] if len(rest) == 1 else "every other"
        return f"{names[top]} is more accurate than {whom}, by more than chance would do"
    equal_ones = f"those that cannot be told from it ({', '.join(others)})"
    return f"none is more accurate than {names[top]}, and of {equal_ones} none is more than a tenth faster"


def _beside_top(chosen: int, top: int, pair: Pair, costs: Sequence[Cost], names: Sequence[str]) -> str:
    """Return why the most accurate one is not the choice: what it costs more, and how much better it may be."""
    ours, theirs = costs[chosen], costs[top]
    gain = (
        f"{theirs.latency_ms / ours.latency_ms:.1f} times as fast" if ours.latency_ms * NEAR < theirs.latency_ms else ""
    )
    smaller = f"{ours.n_bytes / theirs.n_bytes:.2g} of the size" if ours.n_bytes * NEAR < theirs.n_bytes else ""
    costs_less = " and ".join(each for each in (gain, smaller) if each) or "as fast and as large"
    low, high = pair.interval.low, pair.interval.high
    most = max(high if pair.first == top else -low, 0.0)
    if not pair.difference:
        return f"{names[chosen]} is {costs_less}, and on these images exactly as accurate as {names[top]}"
    lead = f"the lead of {names[top]} may be chance (p = {p_words(pair.p_holm)})"
    return f"{names[chosen]} is {costs_less}; {lead}, and is at most {100 * most:.1f} percentage points"


def _cheaper(top: int, of_top: dict[int, Pair], costs: Sequence[Cost], names: Sequence[str]) -> list[str]:
    """Return the fastest of those that are less accurate, if it is faster than the choice."""
    worse = [place for place, pair in of_top.items() if pair.is_told_apart]
    fastest = min(worse, key=lambda place: costs[place].latency_ms, default=top)
    ratio = costs[top].latency_ms / costs[fastest].latency_ms
    if ratio <= NEAR:
        return []
    pair = of_top[fastest]
    lost = abs(pair.difference)
    return [f"where speed counts more: {names[fastest]} is {ratio:.1f} times as fast, for {100 * lost:.1f} points less"]


def p_words(p: float) -> str:
    """Return a p value as it is read: `0.034`, `2e-09`."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"
