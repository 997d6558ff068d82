"""The rates of a whole epoch are those of its batches one by one, to the bit: what is decided once is decided right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clfctl.schedules import (
    KINDS,
    Chain,
    Constant,
    Cooldown,
    Cosine,
    MultiStep,
    Schedule,
    Span,
    Step,
    Warmup,
    parse_expression,
)
from clfctl.schedules.rates import Steady, within
from clfctl.schedules.sampling import rates_in

EXPRESSIONS = [
    *KINDS,
    "constant(factor=0.5, t_max=2.5)",
    "multistep(milestones=[1, 2.25, 4])",
    "cosine(every=batch)",
    "exponential(every=batch, gamma=0.5)",
    "onecycle(three_phase=true, pct_start=0.2)",
    "onecycle(shape=linear, t_max=4)",
    "onecycle(every=epoch)",
    "wsd(decay=0.5)",
    "wsd(decay=0.3, every=epoch)",
    "linear:1.5 > cosine(eta_min=1e-6):2 > step(1)",
    "linear(start=0.1):7b >> 0.3*cosine:30% > exponential:1",
    "step(2):2.5 > constant:1",
    "cosine-restarts(t_0=1.5, t_mult=1.5)",
]


def fitted(text: str, warmup: float, n: int) -> Schedule:
    inner = parse_expression(text).schedule().fitted(Span(6.0 - warmup, warmup, n))
    return Warmup(inner, warmup) if warmup else inner


@given(
    text=st.sampled_from(EXPRESSIONS),
    warmup=st.one_of(st.sampled_from((0.0, 1.0, 2.0)), st.floats(0.01, 3.0)),
    n=st.integers(1, 50),
    metrics=st.lists(st.floats(0.1, 9.0), min_size=6, max_size=6),
)
def test_an_epoch_has_the_rates_of_its_batches(text: str, warmup: float, n: int, metrics: list[float]) -> None:
    schedule = fitted(text, warmup, n)
    for epoch in range(7):
        rate = schedule.given(metrics[:epoch], 0.1)
        assert rates_in(rate, epoch, range(n), n) == [rate(epoch + batch / n) for batch in range(n)]
        assert rates_in(rate, epoch, range(n // 2, n), n) == [rate(epoch + batch / n) for batch in range(n // 2, n)]


STEADY = [
    (Step(5), 3),
    (Constant(), 3),
    (Cosine(9), 3),
    (MultiStep((3, 4)), 3),
    (Warmup(Cosine(9), 1), 3),
    (Chain(((Step(1), 2), (Cosine(9), 4), (Step(2), None))), 3),
    (Chain(((Cosine(2), 2), (Step(1), 2))), 6),
    (Cooldown(Step(2), 2, 3, "min"), 3),
]


@pytest.mark.parametrize(("schedule", "epoch"), STEADY)
def test_what_does_not_change_within_an_epoch_is_worked_out_once(schedule: Schedule, epoch: int) -> None:
    assert isinstance(within(schedule.given((), 1.0), epoch, epoch + 0.99), Steady)


def test_a_rate_of_a_function_is_left_as_it_is() -> None:
    class Own(Schedule):
        def lr(self, base_lr: float, t: float, metrics: object = ()) -> float:
            return base_lr / (1 + t)

    rate = Own().given((), 1.0)
    assert within(rate, 0.0, 1.0) is rate
    assert rates_in(rate, 0, range(0), 4) == []
