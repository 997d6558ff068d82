"""The schedule expression: what it means, and the place that a wrong one is shown with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clfctl.schedules import (
    KINDS,
    WSD,
    Average,
    ByName,
    Chain,
    Constant,
    Cosine,
    CosineRestarts,
    ExpressionError,
    InverseSqrt,
    Linear,
    MultiStep,
    Plateau,
    Restart,
    Scaled,
    Schedule,
    Span,
    Step,
    parse_expression,
)

MEANINGS = [
    ("step", Step()),
    ("Step(3, 0.7)", Step(3, 0.7)),
    ("  step ( step-size = 3 )  ", Step(3)),
    ("cosine(t_max=50, eta_min=1e-6)", Cosine(50, 1e-6)),
    ("cosine(every=batch)", Cosine(every="batch")),
    ("multistep(milestones=[30, 60], gamma=0.2)", MultiStep((30, 60), 0.2)),
    ("multistep(milestones=30)", MultiStep((30,))),
    ("plateau(min_lr=1e-6)", Plateau(min_lr=1e-6)),
    ("plateau(eta_min=1e-6, mode=max)", Plateau(min_lr=1e-6, mode="max")),
    ("wsd(decay=.1, shape=1-sqrt)", WSD(0.1, "1-sqrt")),
    ("wsd(shape='cosine')", WSD(shape="cosine")),
    ("cosine:20 > average(rate=1e-4):5", Chain(((Cosine(), 20), (Average(1e-4), 5)))),
    ("0.5 * step", Scaled(Step(), 0.5)),
    ("step:10", Chain(((Step(), 10),))),
    ("step:10 > cosine", Chain(((Step(), 10), (Cosine(), None)))),
    ("step:10\n>> cosine:5", Chain(((Step(), 10), (Restart(Cosine()), 5)))),
    ("linear(start=0.1):0.5 > 0.1*cosine", Chain(((Linear(0.1), 0.5), (Scaled(Cosine(), 0.1), None)))),
    # Hugging Face's names have Hugging Face's defaults.
    ("cosine_with_restarts", CosineRestarts(1, every="batch")),
    ("cosine_with_min_lr(eta_min=1e-6)", Cosine(eta_min=1e-6, every="batch")),
    ("constant_with_warmup:3 > inverse_sqrt", Chain(((Constant(), 3), (InverseSqrt(), None)))),
    ("warmup_stable_decay(decay=0.1)", WSD(0.1, "cosine")),
    ("reduce_lr_on_plateau(patience=5)", Plateau(5, 0.1)),
    ("torch:StepLR(step_size=3)", ByName("torch", "StepLR", (("step_size", 3),))),
    ("torch:CyclicLR(base_lr=1e-5, every=batch)", ByName("torch", "CyclicLR", (("base_lr", 1e-5),), "batch")),
    ("torch:MultiStepLR(milestones=[3,6])", ByName("torch", "MultiStepLR", (("milestones", (3, 6)),))),
    ("torch:CyclicLR(cycle_momentum=false, mode='exp_range')",
     ByName("torch", "CyclicLR", (("cycle_momentum", False), ("mode", "exp_range")))),
    ("timm:TanhLRScheduler(t_initial=9):9 > step", Chain(
        ((ByName("timm", "TanhLRScheduler", (("t_initial", 9),)), 9), (Step(), None)))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "schedule"), MEANINGS)
def test_meaning(text: str, schedule: Schedule) -> None:
    assert parse_expression(text).schedule() == schedule


def test_options_are_stronger_than_the_defaults_of_a_name() -> None:
    expression = parse_expression("reduce_lr_on_plateau")
    assert expression.kind == "plateau"
    assert expression.schedule({"patience": 2}) == Plateau(2, 0.1)


def test_lengths_in_batches_and_percent_are_fitted() -> None:
    schedule = parse_expression("linear:500b > cosine:50% > step").schedule()
    fitted = schedule.fitted(Span(20, steps_per_epoch=250))
    assert isinstance(fitted, Chain)
    assert [length for _, length in fitted.schedules] == [2, 10, None]
    assert fitted.schedules[1][0] == Cosine(10)


def test_options_fill_what_a_single_kind_does_not_state() -> None:
    defaults = {"t_max": 5, "eta_min": 0.1, "gamma": 0.3}
    assert parse_expression("cosine").schedule(defaults) == Cosine(5, 0.1)
    assert parse_expression("cosine(t_max=9)").schedule(defaults) == Cosine(9, 0.1)
    assert parse_expression("cosine:9 > step").schedule(defaults) == Chain(((Cosine(), 9), (Step(), None)))


WRONG = [
    ("cosin", "'cosin' is not a schedule; expected one of step, plateau", "^^^^^", 0),
    ("cosine(", "')' is missing", "^", 7),
    ("cosine(,)", "an argument is missing", "^", 7),
    ("cosine(t_max=5", "it ends too early; expected ',' or ')'", "^", 14),
    ("cosine(tmax=3)", "cosine has no parameter 'tmax'; expected one of t_max, eta_min, every", "^^^^", 7),
    ("step(step_size=0)", "step_size of step cannot be 0; expected a whole number greater than 0", "^", 15),
    ("step(step_size=fast)", "step_size of step cannot be fast", "^^^^", 15),
    ("step(3 0.7)", "'0.7' does not belong here; expected ',' or ')'", "^^^", 7),
    ("step(3, 0.7, 4)", "a value without a name; expected ')': step has no more parameters", "^", 13),
    ("cosine(t_max=1, t_max=2)", "t_max is given twice", "^^^^^", 16),
    ("multistep(milestones=[3, a])", "milestones of multistep cannot be [3, a]", "^^^^^^", 21),
    ("linear > cosine", "only the last part may have no length; expected ':' and a length", "^", 6),
    ("linear:2 >", "a schedule is missing", "^", 10),
    ("linear:2 > > step", "'>' is not a schedule", "^", 11),
    ("linear:0 > step", "'0' is not a length; expected epochs (2, 0.5), batches (500b)", "^", 7),
    ("linear:soon > step", "'soon' is not a length", "^^^^", 7),
    ("cosine) x", "')' does not belong here", "^", 6),
    ("cosine:20 step", "'step' does not belong here; expected '>' or the end", "^^^^", 10),
    ("0*cosine", "'0' is not a number above 0", "^", 0),
    ("torch:", "the class of torch is missing", "^", 6),
    ("torch:StepLR(3)", "a value without a name; expected parameter=value", "^", 13),
    ("torch:StepLR(step_size=3, every=week)", "'week' is not allowed; expected epoch or batch", "^^^^", 32),
    ("", "a schedule is missing", "^", 0),
    ("cosine:5 > average:5 > step", "average can only be the last part: its mean is of the", "^", 21),
    ("plateau(mode=)", "')' is not a value; expected a number or a word", "^", 13),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "caret", "place"), WRONG)
def test_wrong_expressions_show_the_place(text: str, message: str, caret: str, place: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    first, shown, marks = str(caught.value).split("\n")
    assert message in first
    assert shown == f"  {text}"
    assert marks.startswith(" " * (2 + place) + caret[0])
    assert marks.strip().startswith(caret)


def test_near_names_are_suggested() -> None:
    for text, hint in (("cosin", "cosine"), ("step(step_sz=3)", "step_size"), ("platteau", "plateau")):
        with pytest.raises(ExpressionError) as caught:
            parse_expression(text)
        assert hint in caught.value.hint


@given(st.text(alphabet="step>:()=,[]*0123456789.%b cosine'\"_-", max_size=30))
def test_any_text_is_parsed_or_refused_with_its_place(text: str) -> None:
    message = ""
    try:
        parse_expression(text).schedule()
    except ExpressionError as error:
        message = str(error)
    assert not message or (message.count("\n") == 2 and "^" in message.split("\n")[2])


@given(st.sampled_from(sorted(KINDS)), st.integers(1, 100), st.floats(1e-6, 1))
def test_every_kind_fits_any_length_and_stays_finite(name: str, epochs: int, base_lr: float) -> None:
    schedule = parse_expression(name).schedule().fitted(Span(epochs))
    rates = [schedule.lr(base_lr, t / 4) for t in range(4 * epochs)]
    assert all(0 <= rate <= base_lr * (1 + 1e-12) for rate in rates)
