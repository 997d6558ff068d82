"""Training longer: where each way begins and ends, which is the default, and that nothing later disturbs it."""

import itertools
import math
from dataclasses import replace

import pytest

from clfctl.errors import UsageError
from clfctl.planning.extending import Standing, default_way, extend, extended
from clfctl.planning.plan import make_plan
from clfctl.settings.extending import Extend, parse_extend
from clfctl.settings.groups import TrainSettings

N = 5
METRICS = (0.9, 0.8, 0.85, 0.86, 0.87, 0.88, 0.89, 0.9)


def settings(**fields: object) -> TrainSettings:
    return TrainSettings.model_validate({"lr": 1e-3, "epochs": 4, **fields})


def standing(saved: TrainSettings, t: float) -> Standing:
    """Where a run of these settings stands that has trained until `t`."""
    step = round(t * N) - 1
    plan, known = make_plan(saved, N), METRICS[: int(t)]
    return Standing(t, plan.lr(step // N + step % N / N, METRICS[: step // N]), known, N)


def longer(saved: TrainSettings, epochs: int) -> TrainSettings:
    return saved.model_copy(update={"epochs": epochs})


SCHEDULES = [
    {"scheduler": "cosine"},
    {"scheduler": "cosine", "warmup": "1"},
    {"scheduler": "cosine", "warmup": "10%", "eta_min": 1e-6},
    {"scheduler": "cosine", "warmup": "3b", "warmup_inside": False},
    {"scheduler": "cosine", "warmup": "auto", "beta2": 0.5},
    {"scheduler": "linear(start=0.1):1 > cosine(eta_min=1e-5)"},
    {"scheduler": "plateau", "patience": 0},
    {"scheduler": "step", "step_size": 2, "gamma": 0.1},
    {"scheduler": "onecycle"},
    {"scheduler": "wsd", "early_stopping": 9, "cooldown": 2},
    {"scheduler": "torch:ReduceLROnPlateau(patience=0)"},
]


@pytest.mark.parametrize("fields", SCHEDULES, ids=str)
@pytest.mark.parametrize("t", [4.0, 2.0, 2.4])
@pytest.mark.parametrize("way", ["hold", "rewarm", "anneal"])
def test_the_rate_goes_on_from_the_last_one(fields: dict[str, object], t: float, way: str) -> None:
    saved = settings(**fields)
    at = standing(saved, t)
    new = extended(saved, longer(saved, 9), at, parse_extend(way))
    plan = make_plan(new, N)
    assert plan.epochs == make_plan(longer(saved, 9), N).epochs
    metrics = (*at.metrics, *[0.5] * 9)  # whatever comes, it is the same
    rates = [plan.lr(t + n / N, metrics[: int(t + n / N)]) for n in range(round((plan.epochs - t) * N))]
    assert rates[0] == pytest.approx(at.last_lr, rel=1e-9)
    lowest = new.eta_min or (fields.get("eta_min") or 0.0)
    assert rates[-1] < max(0.35 * rates[0], 0.35 * 1e-3 * 0.5)
    assert plan.lr(plan.epochs - 1e-9, metrics) >= float(lowest)  # type: ignore[arg-type]  # a number
    # To the bit, whoever reads the settings again.
    again = make_plan(TrainSettings.model_validate(new.model_dump(mode="json")), N)
    assert [again.lr(t + n / N, metrics) for n in range(10)] == [plan.lr(t + n / N, metrics) for n in range(10)]
    match way:
        case "hold":
            n_held = math.floor(0.8 * len(rates))
            assert rates[: n_held - 1] == pytest.approx([at.last_lr] * (n_held - 1), rel=1e-9)
        case "rewarm":
            top = max(5e-4, at.last_lr)
            assert max(rates) == pytest.approx(top, rel=1e-2)
        case "anneal":
            assert all(b < a or a == 0 for a, b in itertools.pairwise(rates))  # warmup outside ends inside an epoch


@pytest.mark.parametrize("fields", SCHEDULES, ids=str)
def test_stretch_is_what_resuming_with_more_epochs_always_was(fields: dict[str, object]) -> None:
    saved = settings(**fields)
    new = longer(saved, 9)
    assert extended(saved, new, standing(saved, 2.0), Extend("stretch")) is new


def test_a_second_extension_leaves_the_first_as_it_was() -> None:
    saved = settings(scheduler="cosine", warmup="1")
    first = extended(saved, longer(saved, 8), standing(saved, 4.0), Extend("rewarm"))
    second = extended(first, longer(first, 12), standing(first, 6.2), Extend("hold"))
    plans = make_plan(first, N), make_plan(second, N)
    for step in range(4 * N, 31):
        t = step // N + step % N / N
        assert plans[1].lr(t) == pytest.approx(plans[0].lr(t), rel=1e-12)
    assert plans[1].lr(6.2) == pytest.approx(plans[0].lr(6.0), rel=1e-9) or plans[1].lr(6.2) <= plans[0].lr(6.0)
    assert plans[1].lr(12 - 1e-9) < 1e-7
    # Stretched, the part that is open is fitted to the new end, and the rate does not jump far.
    stretched = make_plan(longer(second, 20), N)
    assert stretched.lr(7.0) == plans[1].lr(7.0)


def test_what_is_stated_of_it_is_in_the_settings_and_nowhere_else() -> None:
    saved = settings(scheduler="cosine", eta_min=1e-6, warmup="25%")
    new = extended(saved, longer(saved, 6), standing(saved, 4.0), Extend("anneal"))
    assert new.scheduler.startswith("cosine(t_max=3,eta_min=1e-06):3 >> ")
    values = new.model_dump()
    assert (values["eta_min"], values["t_max"], values["warmup"]) == (None, None, "1")


DEFAULTS = [
    ({"scheduler": "step"}, 4.0, "stretch", "does not depend"),
    ({"scheduler": "plateau"}, 2.4, "stretch", "does not depend"),
    ({"scheduler": "exponential"}, 4.0, "stretch", "does not depend"),
    ({"scheduler": "cosine"}, 1.0, "stretch", "does not jump"),
    ({"scheduler": "cosine"}, 4.0, "rewarm", "would jump from 0.000146 to "),
    ({"scheduler": "linear"}, 4.0, "rewarm", "would jump"),
    ({"scheduler": "wsd"}, 2.0, "stretch", "does not depend"),
    ({"scheduler": "wsd"}, 4.0, "rewarm", "would jump"),
    ({"scheduler": "onecycle"}, 1.0, "stretch", "does not jump"),
    ({"scheduler": "cosine:2 > average"}, 4.0, "stretch", ""),
]


@pytest.mark.parametrize(("fields", "t", "way", "why"), DEFAULTS, ids=str)
def test_the_default_is_by_the_schedule(fields: dict[str, object], t: float, way: str, why: str) -> None:
    saved = settings(**fields)
    found, reason = default_way(saved, longer(saved, 9), standing(saved, t))
    assert found == way
    assert why in reason
    extension = extend(saved, longer(saved, 9), {"epochs": 9}, standing(saved, t))
    assert extension.way == way
    assert reason in extension.line


@pytest.mark.parametrize(
    ("saved", "changes"),
    [
        (settings(scheduler="cosine"), {"epochs": 3}),
        (settings(scheduler="cosine"), {"epochs": 9, "lr": 1e-4}),
        (settings(scheduler="cosine"), {"epochs": 9, "scheduler": "step"}),
        (settings(scheduler="cosine", early_stopping=2), {"epochs": 9}),
        (settings(scheduler="cosine"), {"patience": 2}),
    ],
)
def test_who_says_what_the_rate_is_to_be_gets_it(saved: TrainSettings, changes: dict[str, object]) -> None:
    changed = saved.model_copy(update=changes)
    found = extend(saved, changed, changes, standing(saved, 4.0))
    assert (found.settings, found.line) == (changed, "")


REFUSED = [
    ({}, {"epochs": 4}, 4.0, "hold", "nothing is longer: the run has 4 epochs"),
    ({}, {"epochs": 9, "scheduler": "cosine"}, 4.0, "hold", "another is stated"),
    ({"warmup": "3"}, {"epochs": 9}, 2.0, "hold", "its warmup is not over"),
    ({"scheduler": "cosine:2 > average"}, {"epochs": 9}, 4.0, "hold", "weights are averaged"),
    ({"early_stopping": 2}, {"epochs": 9}, 4.0, "hold", "early stopping has ended this run"),
    ({}, {"epochs": 9}, 4.0, "hlod", "'hlod' is not a way to go on"),
    ({}, {"epochs": 9}, 4.0, "anneal:0.5", "anneal has no number"),
    ({}, {"epochs": 9}, 4.0, "rewarm:1.5", "greater than 0 and at most 1"),
    ({}, {"epochs": 9}, 4.0, "rewarm:x", "greater than 0 and at most 1"),
]


@pytest.mark.parametrize(("fields", "changes", "t", "wanted", "reason"), REFUSED)
def test_what_cannot_be_is_refused(
    fields: dict[str, object], changes: dict[str, object], t: float, wanted: str, reason: str
) -> None:
    saved = settings(**fields)
    with pytest.raises(UsageError, match=reason):
        extend(saved, saved.model_copy(update=changes), changes, standing(saved, t), wanted)


def test_a_rate_of_nothing_can_only_be_warmed_up() -> None:
    saved = settings(scheduler="linear", t_max=2)
    at = Standing(4.0, 0.0, (), N)
    with pytest.raises(UsageError, match="its last learning rate is 0"):
        extended(saved, longer(saved, 9), at, Extend("hold"))
    plan = make_plan(extended(saved, longer(saved, 9), at, Extend("rewarm", 0.3)), N)
    assert plan.lr(4.0) == 0
    assert plan.lr(4.5) == pytest.approx(3e-4)


def test_from_a_plateau_on_the_metric_no_longer_decides() -> None:
    saved = settings(scheduler="plateau", patience=0)
    found = extend(saved, longer(saved, 9), {"epochs": 9}, standing(saved, 4.0), "hold")
    assert "the metric no longer decides" in found.line
    assert "no longer" not in extend(saved, longer(saved, 9), {"epochs": 9}, standing(saved, 4.0), "stretch").line


def test_what_is_past_is_no_caution() -> None:
    saved = settings(scheduler="onecycle", epochs=10)
    new = extended(saved, longer(saved, 20), standing(saved, 4.0), Extend("hold"))
    assert make_plan(new, N, trained=4.0).cautions == ()


@pytest.mark.parametrize(
    ("n_batches", "epochs", "warmup", "t", "way"),
    [
        (83, 7, "10%", 3 + 8 / 83, Extend("hold")),  # cut off, says onecycle: the warmup and its part end after t
        (91, 14, "5b", 44 / 91, Extend("hold")),  # batches where epochs are meant
        (95, 18, "0.7", 10 + 8 / 95, Extend("rewarm")),  # the new cosine is longer than itself
    ],
)
def test_rounding_makes_no_caution_of_the_past(n_batches: int, epochs: int, warmup: str, t: float, way: Extend) -> None:
    saved = settings(scheduler="onecycle", epochs=epochs, warmup=warmup)
    at = Standing(t, make_plan(saved, n_batches).lr(t - 1 / n_batches), (), n_batches)
    new = extended(saved, longer(saved, 2 * epochs), at, way)
    assert TrainSettings.model_validate(new.model_dump(mode="json")) == new  # a checkpoint brings back every digit
    assert make_plan(new, n_batches, trained=t).cautions == ()
    assert make_plan(new, n_batches).cautions or way.way == "rewarm"  # it is one before it is past


def test_a_warmup_and_a_rate_of_the_past_are_no_caution() -> None:
    long = settings(scheduler="constant", warmup="4", epochs=7)
    assert "more than half" in make_plan(long, N).cautions[0]
    assert make_plan(long, N, trained=4.0).cautions == ()
    high = settings(scheduler="constant:2 >> 0.01*constant", lr=2.0, epochs=4)
    assert "above 1 most trainings diverge" in make_plan(high, N, trained=1.0).cautions[0]
    assert make_plan(high, N, trained=2.0).cautions == ()


@pytest.mark.parametrize("way", ["hold", "rewarm", "anneal"])
def test_a_warmup_in_batches_is_as_long_as_it_was_whatever_batches_come(way: str) -> None:
    saved = settings(scheduler="cosine", warmup="6b", epochs=4)
    at = standing(saved, 3.0)
    new = extended(saved, longer(saved, 9), at, parse_extend(way))
    assert [make_plan(new, n).lr(3.0) for n in (N, 2 * N, 50)] == pytest.approx([at.last_lr] * 3)


def test_a_rate_that_is_as_high_as_it_would_rise_to_stays_there_and_that_is_said() -> None:
    saved = settings(scheduler="constant")
    at = standing(saved, 4.0)
    found = extend(saved, longer(saved, 24), {"epochs": 24}, at, "rewarm")
    assert "linear" not in found.settings.scheduler
    assert found.line.startswith("Extend rewarm: at the last rate, which is not lower than it would rise to, and down")
    plan = make_plan(found.settings, N)
    assert plan.lr(4.0) == plan.lr(5.9) == pytest.approx(1e-3)
    assert plan.lr(23.9) < 1e-4
    lower = extend(saved, longer(saved, 24), {"epochs": 24}, replace(at, last_lr=1e-4), "rewarm")
    assert "up again, and down" in lower.line
    assert "linear(start=0.1,end=0.5)" in lower.settings.scheduler
