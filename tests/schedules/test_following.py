"""Schedules that look inside epochs: their rate follows from what is recorded by then, and from no more."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clfctl.errors import UsageError
from clfctl.planning.plan import make_plan
from clfctl.schedules import Cooldown, Plateau, Schedule, Span, Warmup, parse_expression
from clfctl.schedules.recorded import TOLERANCE, Recorded, Window, summary
from clfctl.settings.groups import PlanSettings

N_BATCHES, N_EPOCHS, CHECK_EVERY = 7, 4, 3
LOOKING = [
    "plateau(0, 0.5, every=2b)", "plateau(1, 0.5, every=3b, smooth=0.5)", "plateau(0, 0.5, every=4b, confidence=0.9)",
    "plateau(0, 0.5, every=0.5)", "plateau(0, 0.5, every=1b, cooldown=2)", "greedy(0, 0.5, every=2b)",
    "1: linear > plateau(0, 0.5, every=2b)", "linear:1 > plateau(0, 0.5, every=2b):5b > greedy(0, every=3b)",
    "0.5*plateau(0, 0.5, every=5b):1.5 >> plateau(0, 0.5, every=2b)", "plateau(0, 0.5):1 > plateau(0, 0.5, every=9b)",
]  # fmt: skip
CASES = [text for text in LOOKING if ": linear" not in text]


def course(
    schedule: Schedule, losses: Sequence[float], begin: int = 0, before: Recorded | None = None
) -> Iterator[tuple[float, Recorded]]:
    """Yield the rate of every batch from `begin` on, and what is recorded by then, as the trainer goes about it."""
    recorded = Recorded() if before is None else before
    look, rate = -1.0, schedule.given(recorded, 0.1)
    for step in range(begin, len(losses)):
        epoch, batch = divmod(step, N_BATCHES)
        if batch == 0 or step == begin:
            recorded = Recorded(tuple(losses[N_BATCHES - 1 : step : N_BATCHES]), recorded.windows)
            look, rate = schedule.next_look(epoch + batch / N_BATCHES, recorded), schedule.given(recorded, 0.1)
        yield rate(epoch + batch / N_BATCHES), recorded
        now, since = epoch + (batch + 1) / N_BATCHES, recorded.windows[-1].end if recorded.windows else 0.0
        if (batch + 1) % CHECK_EVERY == 0 or batch + 1 == N_BATCHES or now >= look - TOLERANCE:
            some = losses[round(since * N_BATCHES) : step + 1]
            recorded = Recorded(recorded.metrics, (*recorded.windows, summary(since, now, some, some)))
            if now >= look - TOLERANCE:
                look, rate = schedule.next_look(now, recorded), schedule.given(recorded, 0.1)


def made(text: str, warmup: str, cools: bool) -> Schedule:
    values = {"scheduler": text, "warmup": warmup, "epochs": N_EPOCHS}
    values |= {"early_stopping": 1, "cooldown": 2} if cools else {}
    return make_plan(PlanSettings.model_validate(values), N_BATCHES).schedule


STABLE = "auto:stable(min=2b, max=13b, window=2b, tolerance=0.3)"
lengths = st.sampled_from(["0", "1", "0.3", "3b", STABLE])
noise = st.lists(st.sampled_from([1.0, 0.9, 0.5, 0.49, 0.1]), min_size=28, max_size=28)


@pytest.mark.parametrize("text", [*CASES, "cosine(every=batch)", "plateau(0, 0.5)"])
@given(noise, lengths, st.booleans(), st.integers(1, 27))
@settings(max_examples=20)
def test_what_is_recorded_gives_the_same_rates_whenever_it_is_asked(
    text: str, losses: list[float], warmup: str, cools: bool, stop: int
) -> None:
    schedule = made(text, warmup, cools)
    trained = list(course(schedule, losses))
    rates = [rate for rate, _ in trained]
    # Resumed at any batch.
    resumed = course(schedule, losses, stop, trained[stop][1])
    assert [rate for rate, _ in resumed] == rates[stop:]
    # Bound anew at every batch, to what was known and to all that came later.
    everything = trained[-1][1].windows
    for step, (rate, recorded) in enumerate(trained):
        t = step // N_BATCHES + step % N_BATCHES / N_BATCHES
        assert schedule.lr(0.1, t, recorded) == schedule.lr(0.1, t, Recorded(recorded.metrics, everything)) == rate
    # In one pass over all epochs, as a preview of the run does it.
    last = Recorded(trained[-1][1].metrics, everything)
    for epoch, bound in zip(range(N_EPOCHS), schedule.by_epoch(last, 0.1), strict=False):
        for batch in range(N_BATCHES):
            assert bound(epoch + batch / N_BATCHES) == rates[epoch * N_BATCHES + batch]


def test_plateau_looks_at_the_mean_loss_of_its_batches() -> None:
    schedule = made("plateau(0, 0.5, every=2b)", "0", cools=False)
    # Means of two: 1, 0.9, 0.9: the third brings nothing, nor does the fourth.
    losses = [1.0, 1.0, 0.8, 1.0, 0.7, 1.1, 0.9, 0.9, 0.1, 0.1]
    rates = [rate for rate, _ in course(schedule, losses)]
    assert rates == [0.1] * 6 + [0.05] * 2 + [0.025] * 2


def test_a_part_of_a_chain_and_what_follows_warmup_look_from_their_own_beginning() -> None:
    chained = made("constant:1 > plateau(0, 0.5, every=2b)", "0", cools=False)
    warmed = made("plateau(0, 0.5, every=2b)", "1", cools=False)
    losses = [1.0] * 28
    for schedule in (chained, warmed):
        looks = [schedule.next_look(0.0)]
        while looks[-1] < 2:
            looks.append(schedule.next_look(looks[-1]))
        assert looks == pytest.approx([1 + 2 * i / N_BATCHES for i in range(5)])
        rates = [rate for rate, _ in course(schedule, losses)]
        # The first look is the best so far, the second brings nothing.
        assert rates[7:11] == pytest.approx([0.1] * 4)
        assert rates[11:14] == pytest.approx([0.05] * 2 + [0.025])


def test_a_warmup_or_an_early_stop_is_no_look_of_a_plateau_that_has_not_begun() -> None:
    schedule = made("plateau(0, 0.5, every=2b)", "1", cools=False)
    assert schedule.next_look(0.0) == 1.0
    assert made("cosine", "1", cools=False).next_look(0.0) == math.inf
    assert made("plateau:2 > cosine", "0", cools=True).next_look(0.0) == math.inf
    cooled = Cooldown(Plateau(every="2b").fitted(Span(4, steps_per_epoch=7)), 2, 1, "min")
    assert cooled.next_look(2.1, (1.0, 1.0)) == math.inf  # early stopping has fired after epoch 2
    assert cooled.next_look(1.9, (1.0,)) == pytest.approx(2)


NOISE = [0.5 - 0.01 * i + 0.02 * (-1) ** i for i in range(16)]
FLAT = [0.5 + 0.02 * (-1) ** i for i in range(16)]


@pytest.mark.parametrize(("losses", "confidence", "falls"), [
    (NOISE, 0.0, True),  # by patience alone: the mean of four has its noise
    (NOISE, 0.9, False),  # the line through them falls
    (NOISE, 0.9999, True),  # but not so surely
    (FLAT, 0.9, True),
])  # fmt: skip
def test_with_confidence_the_rate_stays_while_the_line_through_the_batches_falls(
    losses: list[float], confidence: float, falls: bool
) -> None:
    plateau = Plateau(1, 0.5, every="4b", confidence=confidence, threshold=0.5).fitted(Span(4, steps_per_epoch=16))
    windows = tuple(summary(i / 16, (i + 4) / 16, losses[i : i + 4], []) for i in (0, 4, 8, 12))
    assert plateau.lr(1.0, 1.0, Recorded((), windows)) == (0.5 if falls else 1.0)


def test_confidence_holds_for_metrics_of_epochs_too_and_in_both_directions() -> None:
    slow = [1.0 - 0.001 * epoch + 0.0002 * (-1) ** epoch for epoch in range(12)]
    patient = Plateau(4, 0.5, threshold=0.1)
    assert patient.lr(1.0, 12, slow) < 1
    assert replace(patient, confidence=0.95).lr(1.0, 12, slow) == 1
    assert replace(patient, confidence=0.95, mode="max").lr(1.0, 12, slow) < 1
    assert replace(patient, confidence=0.95, mode="max").lr(1.0, 12, [-each for each in slow]) == 1
    # Two points tell nothing: patience alone decides.
    assert Plateau(0, 0.5, confidence=0.95, threshold=0.1).lr(1.0, 2, [1.0, 0.99]) == 0.5


def test_a_look_is_made_of_whole_batches_and_knows_that_less_loss_is_better() -> None:
    fitted = Plateau(every="0.5", mode="auto").fitted(Span(4, steps_per_epoch=7, mode="max"))
    assert (fitted.between, fitted.mode) == (4 / 7, "min")
    assert Plateau(every="0.01").fitted(Span(4, steps_per_epoch=7)).between == 1 / 7
    with pytest.raises(UsageError, match="of that less is better"):
        Plateau(every="200b", mode="max")
    with pytest.raises(UsageError, match="it is not known how much of an epoch 200b is"):
        Plateau(every="200b").lr(0.1, 1)
    with pytest.raises(UsageError, match="depends on the data"):
        Plateau(every="200b").fitted(Span(4))


@pytest.mark.parametrize("text", ["plateau(every=0)", "plateau(every=-1)", "plateau(every=often)", "plateau(every=2x)"])
def test_how_often_is_a_length_of_time(text: str) -> None:
    with pytest.raises(UsageError, match="every of plateau cannot be"):
        parse_expression(text)


def test_a_schedule_of_ones_own_is_handed_numbers_and_may_ask_for_windows() -> None:
    seen = list[Sequence[float]]()

    class Own(Schedule):
        follows_metrics = True

        def lr(self, base_lr: float, t: float, metrics: Sequence[float] = ()) -> float:
            seen.append(metrics)
            return base_lr * len(metrics)

    recorded = Recorded((1.0, 2.0), (Window(0, 1, 1, 1.0, 1.0),))
    assert Warmup(Own(), 1).given(recorded, 0.1)(2.5) == 0.1
    assert [list(each) for each in seen] == [[], [2.0]]
    assert Own().next_look(0) == math.inf
