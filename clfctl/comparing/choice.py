"""Which of the compared models to use: of those that cannot be told from the most accurate, the fastest."""

from collections.abc import Sequence
from dataclasses import dataclass

from clfctl.comparing.pairs import Pair
from clfctl.comparing.speed import Cost

# Latencies, and sizes, as near as that are the same.
NEAR = 1.1


@dataclass(frozen=True)
class Choice:
    """The place of the run to deploy, and why, a sentence each."""

    run: int
    why: tuple[str, ...]


def choose(accuracies: Sequence[float], costs: Sequence[Cost], pairs: Sequence[Pair], names: Sequence[str]) -> Choice:
    """Return which run to deploy; `names` are what the sentences call them.

    Those that McNemar's test cannot tell from the most accurate are as good as far as the images tell. Each is tested
    as if it were the only other: a correction for the number of runs protects from seeing a difference where there is
    none, and here it is the difference that goes unseen which costs. Of them the fastest for one image is taken; of
    those as fast, the smallest; of those as small, the most accurate.
    """
    top = max(range(len(accuracies)), key=lambda place: (accuracies[place], -costs[place].latency_ms))
    of_top = {place: pair for pair in pairs for place in _other(pair, top)}
    equal = [top, *(place for place, pair in of_top.items() if pair.may_be_equal)]
    fastest = min(costs[place].latency_ms for place in equal)
    near = [place for place in equal if costs[place].latency_ms <= NEAR * fastest]
    smallest = min(costs[place].n_bytes for place in near)
    small = [place for place in near if costs[place].n_bytes <= NEAR * smallest]
    chosen = min(small, key=lambda place: (-accuracies[place], costs[place].latency_ms, place))
    why = [_beside_top(chosen, top, of_top[chosen], costs, names)] if chosen != top else [_top(top, of_top, names)]
    if chosen == top:
        why += _cheaper(top, of_top, costs, names)
    return Choice(chosen, tuple(why))


def _other(pair: Pair, top: int) -> tuple[int, ...]:
    """Return the other run of a pair of the most accurate one."""
    return (pair.second,) if pair.first == top else (pair.first,) if pair.second == top else ()


def _top(top: int, of_top: dict[int, Pair], names: Sequence[str]) -> str:
    """Return why the most accurate one is the choice."""
    if equal := [names[place] for place, pair in of_top.items() if pair.may_be_equal]:
        of_equal = f"of those that cannot be told from it ({', '.join(equal)})"
        better = "none is faster by more than a tenth, and none as fast is smaller by as much"
        return f"none is more accurate than {names[top]}; {of_equal} {better}"
    whom = names[next(iter(of_top))] if len(of_top) == 1 else "every other"
    lead = f"{names[top]} is more accurate than {whom}, by more than chance would do"
    doubtful = [names[place] for place, pair in of_top.items() if not pair.is_told_apart]
    if not doubtful:
        return lead
    return f"{lead} in a pair alone; as one of so many pairs, the lead over {', '.join(doubtful)} may be chance"


def _beside_top(chosen: int, top: int, pair: Pair, costs: Sequence[Cost], names: Sequence[str]) -> str:
    """Return why the most accurate one is not the choice: what it costs more, and how much better it may be."""
    ours, theirs = costs[chosen], costs[top]
    gain = (
        f"{theirs.latency_ms / ours.latency_ms:.1f} times as fast" if ours.latency_ms * NEAR < theirs.latency_ms else ""
    )
    smaller = f"{ours.n_bytes / theirs.n_bytes:.2g} of the size" if ours.n_bytes * NEAR < theirs.n_bytes else ""
    costs_less = " and ".join(each for each in (gain, smaller) if each) or "a little faster or smaller"
    if not pair.difference:
        return f"{names[chosen]} is {costs_less}, and on these images exactly as accurate as {names[top]}"
    lead = f"on these images {names[top]} is {100 * abs(pair.difference):.1f} percentage points more accurate"
    most = pair.interval.high if pair.first == top else -pair.interval.low
    doubt = f"which may be chance (p = {p_words(pair.p)}), or as much as {100 * most:.1f} (95 % interval)"
    return f"{names[chosen]} is {costs_less}; {lead}, {doubt}"


def _cheaper(top: int, of_top: dict[int, Pair], costs: Sequence[Cost], names: Sequence[str]) -> list[str]:
    """Return the fastest of those that are less accurate, if it is faster than the choice."""
    worse = [place for place, pair in of_top.items() if not pair.may_be_equal]
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
