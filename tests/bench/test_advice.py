"""What bench-data recommends: held against any numbers, and against tables of cases with their reasons."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clfctl.bench.advice import (
    MARGIN,
    SAME,
    CacheFacts,
    Training,
    advise,
    bottleneck,
    candidates,
    fastest,
    feed_for,
    is_plenty,
    plenty,
    smallest,
    why_not,
)
from clfctl.bench.rows import LoaderRow, Rates
from clfctl.storage.files import in_bytes

GB = 10**9
FITS = CacheFacts(n_bytes=GB, build_s=10, free=100 * GB, memory=50 * GB)
LONG = Training(n_images=10_000, epochs=25)

windows = st.lists(st.floats(1, 1e5), min_size=1, max_size=7).map(lambda each: Rates(tuple(each)))


def row(workers: int, *per_s: float, cache: str = "none") -> LoaderRow:
    return LoaderRow(workers, cache, Rates(per_s), 0)


@st.composite
def tables(draw: st.DrawFn) -> list[LoaderRow]:
    counts = draw(st.lists(st.integers(0, 64), min_size=1, max_size=6, unique=True))
    return [
        LoaderRow(workers, cache, draw(windows), 0)
        for cache in draw(st.sampled_from([("none",), ("none", "disk"), ("none", "ram")]))
        for workers in counts
    ]


@given(windows)
def test_the_spread_lies_round_the_median(rates: Rates) -> None:
    assert min(rates.windows) <= rates.low <= rates.median <= rates.high <= max(rates.windows)


@given(st.tuples(*[st.floats(1, 1e5)] * 5).map(Rates))
def test_three_of_five_windows_lie_in_the_spread(rates: Rates) -> None:
    assert sum(rates.low <= each <= rates.high for each in rates.windows) >= 3


def test_one_disturbed_window_of_five_does_not_widen_the_spread() -> None:
    assert Rates((100, 101, 99, 100, 5)).low == 99


@given(tables())
def test_no_smaller_number_of_workers_is_as_good(rows: list[LoaderRow]) -> None:
    chosen, best = smallest(rows), fastest(rows)
    bar = min(best.rates.low, (1 - SAME) * best.rates.median)
    assert chosen in rows
    assert chosen.rates.median >= bar
    fewer = [each for each in rows if 0 < each.workers < chosen.workers]
    assert all(each.rates.median < bar for each in fewer)
    if chosen.workers == 0:
        assert all(each.rates.median < bar for each in rows if each.workers)


@pytest.mark.parametrize(("rows", "workers", "why"), [
    ([row(0, 600), row(1, 590), row(2, 1100), row(3, 1110)], 2, "3 is faster by less than 2 %"),
    ([row(1, 590), row(2, 1000, 1000, 1000), row(3, 1000, 1100, 1200)], 3, "2 is below the middle half of 3"),
    ([row(1, 590), row(2, 1060, 1060, 1060), row(3, 1000, 1100, 1200)], 2, "2 is within the middle half of 3"),
    ([row(0, 900), row(1, 900)], 1, "0 makes nothing ahead"),
    ([row(0, 900), row(1, 500)], 0, "0 is better by more than the spread"),
    ([row(1, 500)], 1, "the only one"),
])  # fmt: skip
def test_workers(rows: list[LoaderRow], workers: int, why: str) -> None:
    assert smallest(rows).workers == workers, why


@given(tables(), st.sampled_from([{}, {"disk": FITS}, {"disk": FITS, "ram": FITS}]))
def test_a_cache_is_recommended_only_where_it_gains(rows: list[LoaderRow], caches: dict[str, CacheFacts]) -> None:
    advice = advise(rows, caches, LONG)
    assert advice.row in rows
    assert advice.reasons
    if advice.row.cache != "none":
        assert advice.row.cache in caches
        plain = fastest([each for each in rows if each.cache == "none"])
        assert fastest([each for each in rows if each.cache == advice.row.cache]).rates.low > plain.rates.high


ROWS = [row(1, 500), row(2, 900, 910), row(1, 3000, cache="disk"), row(2, 3100, cache="disk")]


@pytest.mark.parametrize(("facts", "training", "cache", "reason"), [
    (FITS, LONG, "disk", "is 3.4 times as fast as without. For all images it takes about 1.0 GB, and 10 s"),
    (CacheFacts(200 * GB, 10, 100 * GB, 500 * GB), LONG, "none", "100.0 GB are free there; `cache=ram` would fit."),
    (CacheFacts(200 * GB, 10, 100 * GB, 50 * GB), LONG, "none", "about 200.0 GB, and 100.0 GB are free there."),
    (CacheFacts(60 * GB, 10, 100 * GB, 50 * GB), LONG, "none", "50.0 GB of memory are free: it would be read from the"),
    (FITS, Training(10_000, 1), "none", "building it takes about 10 s, and 1 epoch would save 8 s"),
])  # fmt: skip
def test_a_cache_must_fit_and_pay(facts: CacheFacts, training: Training, cache: str, reason: str) -> None:
    advice = advise(ROWS, {"disk": facts}, training)
    assert advice.row.cache == cache
    assert reason in " ".join(advice.reasons)


def test_a_cache_that_gains_nothing_is_said() -> None:
    assert why_not(FITS, Rates((1000.0,)), Rates((990.0,)), LONG).startswith("it does not gain (1,000 images/s with")


@given(tables(), windows)
def test_what_is_trained_with_can_feed_the_model_or_is_the_best(rows: Sequence[LoaderRow], model: Rates) -> None:
    found = candidates(rows, model)
    assert len(set(found)) == len(found) >= 1
    assert found[0].cache == "none"
    for each in found:
        of_kind = [other for other in rows if other.cache == each.cache]
        assert each == smallest(of_kind) or each.rates.low >= MARGIN * model.median
    if len(found) == 1 and is_plenty(found[0], model):
        assert "more would gain nothing" in plenty(found[0], model).reasons[0]
    else:
        kinds = {each.cache for each in rows}
        assert {each.cache for each in found} == kinds


@pytest.mark.parametrize(("feed", "model", "words"), [
    (row(1, 900, 910), Rates((60, 60)), "The model is the bottleneck: it takes 60 images/s, and 1 worker can feed 905"),
    (row(2, 900, 910), Rates((2000, 2100)), "The data are the bottleneck: the model could take 2,050 images/s"),
    (row(2, 900, 910, cache="disk"), Rates((850, 1000)), "2 workers can feed 905 from `cache=disk`."),
])  # fmt: skip
def test_the_bottleneck_is_the_slower(feed: LoaderRow, model: Rates, words: str) -> None:
    assert words in bottleneck(feed, model)


@pytest.mark.parametrize(("model", "cache"), [(60.0, "none"), (905.0, "disk"), (1000.0, "disk"), (9000.0, "disk")])
def test_a_model_is_compared_with_a_cache_only_where_files_do_not_feed_it(model: float, cache: str) -> None:
    assert feed_for(ROWS, Rates((model,))).cache == cache


SIZES = [(0, "0.0 kB"), (850, "0.8 kB"), (30_400, "30.4 kB"), (1_234_567_890, "1.2 GB")]


@pytest.mark.parametrize(("n", "words"), SIZES)
def test_sizes(n: int, words: str) -> None:
    assert in_bytes(n) == words
