"""What begins in its middle, and what is multiplied: the curves that they say, in chains and with metrics."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clfctl.errors import UsageError
from clfctl.schedules import (
    Chain,
    Constant,
    Cosine,
    ExpressionError,
    Linear,
    Plateau,
    Schedule,
    Span,
    Step,
    parse_expression,
)
from clfctl.schedules.together import Late, Product


def fitted(text: str) -> Schedule:
    return parse_expression(text).schedule().fitted(Span(20, steps_per_epoch=10))


@given(st.integers(1, 15), st.floats(0, 19.9))
def test_late_is_where_the_whole_curve_would_be(late: int, t: float) -> None:
    chain = parse_expression(f"linear(start=0, end=1):{late} >> cosine@{late}").schedule().fitted(Span(20))
    expected = t / late if t < late else Cosine(20).lr(1.0, t)
    assert chain.lr(1.0, t) == pytest.approx(expected, abs=1e-9) or abs(t - round(t)) < 1e-9


def test_a_start_may_be_batches_or_a_share() -> None:
    assert fitted("step(3)@25b") == Late(Step(3), 2.5)
    assert fitted("step(3)@10%") == Late(Step(3), 2)
    with pytest.raises(UsageError, match="a beginning at 25b depends on the training"):
        parse_expression("step@25b").schedule().lr(1.0, 0)


def test_parts_that_are_over_before_it_begins_are_not_drawn() -> None:
    late = Late(parse_expression("step:5 > cosine:10 > constant").schedule(), 7)
    assert [(each.label, each.start, each.end) for each in late.segments(20)] == [("cosine", 0, 8), ("constant", 8, 20)]


def test_a_product_is_of_shares() -> None:
    product = fitted("linear(start=0, t_max=4) * cosine")
    assert product == Product((Linear(0, None, 4), Cosine(20)))
    for t in (0, 1.5, 3.9, 4, 10):
        assert product.lr(0.2, t) == pytest.approx(min(1, t / 4) * Cosine(20).lr(0.2, t))
    scaled = fitted("0.1 * linear(start=0, t_max=4) * cosine:10 > constant")
    assert scaled.lr(1.0, 2) == pytest.approx(0.05 * Cosine(10).lr(1.0, 2))


def test_a_product_follows_metrics_in_one_pass() -> None:
    product = Product((Linear(0.0, 1.0, 4), Plateau(0, 0.5, mode="min")))
    metrics = (1.0, 2.0, 0.5, 0.6)
    for epoch, rate in zip(range(6), product.by_epoch(metrics, 1.0), strict=False):
        assert rate(epoch + 0.5) == product.lr(1.0, epoch + 0.5, metrics[:epoch])


WRONG = [
    ("cosine@", "a length is missing; expected epochs"),
    ("cosine@x", "'x' is not a length"),
    ("cosine*", "a schedule is missing; expected one of"),
    ("cosine*2", "'2' is not a schedule"),
    ("average*cosine", "average can only be the last of what is multiplied"),
    ("timm:", "the class of timm is missing"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_wrong_ones_show_the_place(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert message in caught.value.message
    assert "^" in caught.value.message


def test_one_of_several_parts_may_begin_in_a_later_one() -> None:
    parts = (Constant(), 2.0), (Plateau(patience=0, mode="min"), 4.0), (Step(1), None)
    late, metrics = Late(Chain(parts), 3.0), (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    rates = islice(late.by_epoch(metrics, 0.1), 6)
    assert [rate(epoch) for epoch, rate in enumerate(rates)] == [late.lr(0.1, n, metrics[:n]) for n in range(6)]
