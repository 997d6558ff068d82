"""A fitted schedule written as an expression that ends somewhere has the rates of the fitted one until there."""

import pytest

from clfctl.schedules import KINDS, Span, parse_expression
from clfctl.schedules.durations import in_digits
from clfctl.schedules.writing import written_until
from tests.engine.matrix import SCHEDULES

METRICS = (0.9, 0.8, 0.85, 0.9, 0.95, 0.7, 0.8, 0.9, 0.9, 0.9)
SPAN = Span(10, 0.0, 7)
WRITTEN = [
    *(name for name in (*KINDS, *SCHEDULES) if not name.startswith(("torch:", "timm:"))),
    "cosine(eta_min=1e-05,every=batch)",
    "linear(start=0.1):20% > 0.3*cosine",
    "linear(start=0.1):9b > cosine:3 >> step(step_size=2)",
    "multistep(milestones=[2,3.5])",
    "cosine-restarts(cycles=4,decay=0.5)",
    "wsd:6",
    "step(1):2 > 0.5*linear(end=0)@10%",
    "0.5*linear(start=0.2,t_max=3)*wsd(decay=0.5)@1:8",
    "cosine_with_restarts",
    "reduce_lr_on_plateau(patience=3)",
]


@pytest.mark.parametrize("text", WRITTEN)
@pytest.mark.parametrize("end", [0.5, 3.0, 4 + 3 / 7, 10.0])
def test_it_has_the_same_rates_until_its_end(text: str, end: float) -> None:
    fitted = parse_expression(text).schedule().fitted(SPAN)
    written = written_until(parse_expression(text), fitted, end)
    # Of a longer training: nothing of it may be left open.
    again = parse_expression(written).schedule().fitted(Span(33, 0.0, 7))
    for batch in range(round(end * 7)):
        t = batch // 7 + batch % 7 / 7
        known = METRICS[: int(t)]
        assert again.lr(1e-3, t, known) == pytest.approx(fitted.lr(1e-3, t, known), rel=1e-12, abs=1e-18), (written, t)


@pytest.mark.parametrize(
    ("text", "end", "written"),
    [
        ("cosine", 4, "cosine(t_max=10):4"),
        ("step", 2.5, "step:2.5"),
        ("Step(2, gamma=0.1)", 4, "step(step_size=2,gamma=0.1):4"),
        ("linear:2 > cosine", 1, "linear(t_max=2):1"),
        ("cosine:4", 7, "cosine(t_max=4):4 > constant:3"),
        ("torch:CyclicLR(base_lr=1e-5, max_lr=1e-3, mode='a b')", 4,
         "torch:CyclicLR(base_lr=1e-05,max_lr=0.001,mode='a b'):4"),
    ],
)  # fmt: skip
def test_it_reads_as_people_write(text: str, end: float, written: str) -> None:
    expression = parse_expression(text)
    assert written_until(expression, expression.schedule().fitted(SPAN), end) == written


@pytest.mark.parametrize("number", [4, 0.5, 1 / 3, 1e-5, 2.0000000000000004, 123456789, 3e-10])
def test_digits_are_read_back_without_a_difference(number: float) -> None:
    assert float(in_digits(number)) == number
