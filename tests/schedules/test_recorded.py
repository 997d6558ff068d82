"""Windows of batches: put together without the batches, seen from any beginning, and tested for their slope."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clfctl.schedules.recorded import Recorded, Window, joined, looks, since, summary, windows_of
from clfctl.schedules.slope import below, falls

values = st.lists(st.floats(0.01, 10), min_size=1, max_size=12)


@given(st.lists(values, min_size=1, max_size=5))
def test_windows_put_together_are_the_window_of_all_their_batches(parts: list[list[float]]) -> None:
    whole = summary(0, 1, [each for part in parts for each in part], [each for part in parts for each in part])
    n, windows = sum(map(len, parts)), list[Window]()
    for part in parts:
        begun = sum(each.n for each in windows)
        windows.append(summary(begun / n, (begun + len(part)) / n, part, part))
    together = windows[0]
    for window in windows[1:]:
        together = joined(together, window)
    assert together == pytest.approx(whole, rel=1e-9, abs=1e-9)


def test_batches_that_were_not_trained_on_and_norms_that_are_not_finite_do_not_count() -> None:
    assert summary(0, 1, [2.0, 4.0], [1.0, math.inf])[2:5] == (2, 3.0, 1.0)
    nothing = summary(1, 2, [], [])
    assert nothing.n == 0
    assert math.isnan(nothing.loss)
    some = summary(0, 1, [2.0, 4.0], [math.nan, math.nan])
    assert joined(some, nothing) == some._replace(end=2) or math.isnan(some.norm)
    assert joined(nothing, some)[:4] == (1, 1, 2, 3.0)
    assert joined(some, summary(1, 2, [1.0], [5.0])).norm == 5.0


def test_looks_are_at_multiples_or_at_the_next_end_of_a_window() -> None:
    ends = [0.2, 0.5, 0.9, 1.0, 1.7, 2.0]
    windows = [Window(start, end, 1, end, 0.0) for start, end in zip([0.0, *ends], ends, strict=False)]
    assert [(each.start, each.end, each.n) for each in looks(windows, 0.5)] == [
        (0.0, 0.5, 2), (0.5, 1.0, 2), (1.0, 1.7, 1), (1.7, 2.0, 1),
    ]  # fmt: skip


def test_what_is_recorded_is_a_sequence_and_keeps_its_windows_from_the_beginning() -> None:
    windows = tuple(Window(i / 2, (i + 1) / 2, 5, 1.0, 1.0) for i in range(6))
    recorded = Recorded((3.0, 2.0, 1.0), windows)
    assert list(recorded) == [3.0, 2.0, 1.0]
    assert recorded[-1] == 1.0
    assert windows_of(recorded[:2]) == windows
    assert list(recorded[1:]) == [2.0, 1.0]
    later = since(recorded, 1.5)
    assert list(later) == [2.0, 1.0]
    assert [(each.start, each.end) for each in windows_of(later)] == [(0, 0.5), (0.5, 1), (1, 1.5)]
    # One that begins before is of another part.
    assert [each.start for each in windows_of(since(recorded, 1.2))] == pytest.approx([0.3, 0.8, 1.3])
    assert since((3.0, 2.0, 1.0), 1) == (2.0, 1.0)


@given(st.floats(-30, 30), st.integers(1, 400))
def test_students_distribution_is_scipys(t: float, freedom: int) -> None:
    assert below(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), rel=1e-9, abs=1e-15)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=60), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_the_slope_is_tested_as_scipy_does(losses: list[float], confidence: float) -> None:
    if max(losses) - min(losses) < 1e-6:
        return
    line = stats.linregress(range(len(losses)), losses, alternative="less")
    if abs(line.pvalue - (1 - confidence)) > 1e-9:
        assert falls(summary(0, 1, losses, losses), confidence) == (line.pvalue <= 1 - confidence)


def test_few_points_tell_nothing_and_points_on_a_line_everything() -> None:
    assert falls(summary(0, 1, [2.0, 1.0], []), 0.95) is None
    assert falls(summary(0, 1, [3.0, 2.0, 1.0], []), 0.999)
    assert not falls(summary(0, 1, [1.0, 1.0, 1.0], []), 0.5)
    assert not falls(Window(0, 1, 5, math.nan, math.nan, math.nan, math.nan), 0.95)
