"""McNemar's exact test and Holm's correction against scipy and against what their definitions say."""

from io import StringIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import binomtest

from clfctl.comparing.pairs import difference_interval, holm, mcnemar, pairs_of
from clfctl.display.compare_text import _pairs

counts = st.integers(0, 400)


@given(counts, counts)
def test_mcnemar_is_the_binomial_test_of_the_images_that_one_alone_has_right(a: int, b: int) -> None:
    expected = binomtest(a, a + b, 0.5).pvalue if a + b else 1.0
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(a, b) == mcnemar(b, a)


def test_mcnemar_of_a_whole_data_set_neither_overflows_nor_rounds_to_nothing() -> None:
    assert mcnemar(25_000, 25_000) == 1.0
    assert 0 < mcnemar(700, 300) < 1e-30


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferroni(values: list[float]) -> None:
    corrected = holm(values)
    assert all(p <= q <= min(1.0, len(values) * p) + 1e-12 for p, q in zip(values, corrected, strict=True))
    assert [corrected[i] for i in np.argsort(values)] == sorted(corrected)


def test_holm_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_pairs_count_every_image_once() -> None:
    right = np.array([[1, 1, 1, 0, 0], [1, 0, 0, 1, 0]], bool)
    (pair,) = pairs_of(right)
    assert (pair.both, pair.only_first, pair.only_second, pair.neither) == (1, 2, 1, 1)
    assert (pair.n_images, pair.difference, pair.p) == (5, 0.2, 1.0)
    assert pair.interval.low < pair.difference < pair.interval.high


@pytest.mark.parametrize(("both", "neither"), [(100, 0), (75, 25), (0, 100)])
def test_two_that_never_differ_may_still_do_so_on_other_images(both: int, neither: int) -> None:
    limits = difference_interval(both, 0, 0, neither)
    assert -0.05 < limits.low < 0 < limits.high < 0.05


def test_the_interval_is_newcombes() -> None:
    """The example of his paper (1998, II, table III), by method 10: 36, 12, 2, 0 of 50 images."""
    limits = difference_interval(36, 12, 2, 0)
    assert (limits.low, limits.high) == pytest.approx((0.0569, 0.3404), abs=5e-4)


@given(counts, counts, counts, counts)
def test_the_interval_and_the_exact_test_agree_on_what_cannot_be_told(a: int, b: int, c: int, d: int) -> None:
    if not a + b + c + d:
        return
    limits = difference_interval(a, b, c, d)
    assert -1 <= limits.low <= (b - c) / (a + b + c + d) <= limits.high <= 1
    if mcnemar(b, c) >= 0.05:
        assert limits.low <= 0 <= limits.high
    turned = difference_interval(a, c, b, d)
    assert (-turned.high, -turned.low) == pytest.approx((limits.low, limits.high))


# Found by a reader: the bootstrap of few images called a lead real that the test did not.
@pytest.mark.parametrize(("a", "b", "n"), [(4, 0, 200), (5, 0, 200), (7, 1, 300)])
def test_a_lead_of_few_images_may_be_none(a: int, b: int, n: int) -> None:
    limits = difference_interval(n - a - b, a, b, 0)
    assert mcnemar(a, b) > 0.05
    assert limits.low <= 0 < limits.high


def test_the_table_of_three_runs_fits_80_columns() -> None:
    draw = np.random.default_rng(0)
    right = np.array([draw.random(9_999) < share for share in (0.9, 0.5, 0.1)])
    console = Console(width=80, record=True, file=StringIO())
    console.print(_pairs(pairs_of(right)))
    assert "…" not in console.export_text()
