"""A cooldown as a part of a schedule, and the momentum that a schedule of the rate moves beside it."""

import pytest

from clfctl.errors import UsageError
from clfctl.schedules import Anneal, Chain, Constant, Cooldown, Schedule, Span, Step, momentum_of, parse_expression


def fitted(text: str, epochs: float = 10, steps_per_epoch: int | None = None) -> Schedule:
    return parse_expression(text).schedule().fitted(Span(epochs, 0.0, steps_per_epoch))


def test_a_cooldown_is_the_one_of_early_stopping_to_the_bit() -> None:
    times = [n / 7 for n in range(7 * 9)]
    part = fitted("step(step_size=2):5 > cooldown(eta_min=1e-3):3", 8)
    # The metric is best in the second epoch: after three more early stopping fires.
    stopped = Cooldown(Step(2), 3, 3, "min", 1e-3)
    metrics = (2.0, 1.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0)
    assert [part.lr(0.1, t) for t in times] == [stopped.lr(0.1, t, metrics) for t in times]
    assert part.lr(0.1, 4.99) == 0.1 * 0.5**2
    assert part.lr(0.1, 8) == 1e-3


@pytest.mark.parametrize(("shape", "half"), [("cosine", 0.5), ("linear", 0.5), ("1-sqrt", 1 - 0.5**0.5)])
def test_it_falls_from_where_the_part_before_ended_to_its_end(shape: str, half: float) -> None:
    part = fitted(f"linear(1, 0.6):4 > cooldown(shape={shape}, eta_min=0.02):2")
    assert [part.lr(0.1, t) for t in (4, 5, 6, 9)] == pytest.approx([0.06, 0.02 + 0.04 * half, 0.02, 0.02])


def test_its_length_is_what_is_left_or_what_is_said() -> None:
    for text, starts_at in (("constant:6 > cooldown", 6), ("constant:80% > cooldown:20%", 8), ("cooldown", 0)):
        made = fitted(text)
        assert made.segments(10)[-1].start == starts_at
        assert made.lr(0.1, 10) == pytest.approx(0)
        assert made.lr(0.1, (10 + starts_at) / 2) == pytest.approx(0.05)
    assert fitted("constant:9 > cooldown:6b", 10, 12).lr(0.1, 9.25) == pytest.approx(0.05)
    with pytest.raises(UsageError, match="cooldown has no length yet"):
        Anneal().lr(0.1, 1)


ONECYCLE = "onecycle(cycle_momentum=true)"


def momentum(text: str, t: float, epochs: float = 10) -> float:
    found = momentum_of(fitted(text, epochs))
    assert found
    return found.lr(0.5, t)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (ONECYCLE, {0: 0.95, 3: 0.85, 10: 0.95}),
        ("onecycle(cycle_momentum=true, three_phase=true, shape=linear)", {0: 0.95, 1.5: 0.9, 6: 0.95, 8: 0.95}),
        ("onecycle(cycle_momentum=true, base_momentum=0.8, max_momentum=0.9)", {0: 0.9, 3: 0.8, 10: 0.9}),
        (f"{ONECYCLE}@3:7", {0: 0.85, 7: 0.95}),
        (f"linear(start=0, t_max=3) * {ONECYCLE}", {0: 0.95, 3: 0.85, 10: 0.95}),
        # A factor of the rate is none of the momentum.
        (f"0.5 * {ONECYCLE}", {0: 0.95, 3: 0.85, 10: 0.95}),
        # The other parts have the base.
        (f"step:5 > {ONECYCLE}:5", {0: 0.5, 4.9: 0.5, 5: 0.95, 6.5: 0.85, 10: 0.95}),
        (f"{ONECYCLE}:5 >> constant", {1.5: 0.85, 5: 0.5, 9: 0.5}),
    ],
)  # fmt: skip
def test_the_momentum_moves_against_the_rate(text: str, values: dict[float, float]) -> None:
    assert {t: momentum(text, t) for t in values} == pytest.approx(values)


def test_nothing_moves_it_unless_it_is_asked_for() -> None:
    for text in ("onecycle", "cosine", "linear:2 > onecycle", "0.5 * onecycle"):
        assert momentum_of(fitted(text)) is None


def test_it_has_the_parts_of_the_rate() -> None:
    found = momentum_of(fitted(f"step:5 > {ONECYCLE}"))
    assert isinstance(found, Chain)
    assert found.seams() == [5]
    assert Constant().lr(0.5, 3) == found.lr(0.5, 3)
