"""Momentum and weight decay that follow schedules: what a plan sets at each step, and what is refused in a sentence."""

from typing import Any

import pytest

from clfctl.errors import UsageError
from clfctl.planning.changes import change_settings
from clfctl.planning.extending import Standing, extended
from clfctl.planning.moved import MOMENTA, base_momentum
from clfctl.planning.plan import Plan, make_plan
from clfctl.schedules import sample_curve
from clfctl.settings.extending import Extend
from clfctl.settings.groups import PlanSettings, TrainSettings
from clfctl.settings.sources import from_fields

ADAMW: dict[str, Any] = {"optimizer": "adamw", "weight_decay": 0.04}


def plan(**values: Any) -> Plan:
    return make_plan(PlanSettings.model_validate({"epochs": 10} | values), 20)


def test_without_schedules_nothing_is_set_but_the_rate() -> None:
    values = plan(weight_decay=0.1, scheduler="onecycle").values(3)
    assert (values.momentum, values.weight_decay) == (None, None)


def test_values_follow_their_schedules_from_their_bases() -> None:
    made = plan(**ADAMW, beta1=0.8, momentum_schedule="linear(1, 0.5)", weight_decay_schedule="cosine(eta_min=0.4)")
    values = [made.values(t) for t in (0, 5, 9)]
    assert [each.momentum for each in values] == pytest.approx([0.8, 0.6, 0.8 * 0.55])
    assert [each.weight_decay for each in values] == pytest.approx([0.04, 0.22, 0.4 - 0.36 * 0.0244717], rel=1e-5)
    assert [each.lr for each in values] == [made.lr(t) for t in (0, 5, 9)]


def test_they_run_over_all_epochs_whatever_the_rate_does() -> None:
    made = plan(optimizer="sgd", warmup=2, warmup_inside=False, momentum_schedule="linear(0, 1)")
    assert made.epochs == 12
    assert made.values(6).momentum == pytest.approx(0.45)


def test_lengths_in_batches_and_metrics_count_as_for_the_rate() -> None:
    made = plan(**ADAMW, weight_decay_schedule="constant:40b > plateau(patience=0, factor=0.5)", monitor="val_top1")
    assert made.weight_decay
    assert made.weight_decay.schedule.follows_metrics
    falling = (0.5, 0.5, 0.9, 0.8, 0.7)
    assert made.values(1.5, falling[:1]).weight_decay == 0.04
    # The parts count from the third epoch on: it improves, and then two do not.
    assert [made.values(t, falling[:t]).weight_decay for t in (3, 4, 5)] == [0.04, 0.02, 0.01]


def test_a_onecycle_waits_for_its_warmup() -> None:
    made = plan(scheduler="onecycle(cycle_momentum=true)", warmup=2)
    assert [made.values(t).momentum for t in (0, 1.99, 2)] == [0.95] * 3
    assert made.values(2 + 0.3 * 8).momentum == pytest.approx(0.85)
    assert sample_curve(made.schedule, 1e-4, 10) == sample_curve(
        plan(scheduler="onecycle", warmup=2).schedule, 1e-4, 10
    )


REFUSED = [
    ({"momentum_schedule": "linear(1, 1.2)"}, "momentum_schedule", "from 0.9 to 1.008 at epoch 6"),
    ({"momentum_schedule": "linear(1, 0)", "optimizer": "lambw"}, "momentum_schedule", "is not known before torch"),
    ({"momentum_schedule": "linear", "scheduler": "onecycle(cycle_momentum=true)"}, "momentum_schedule", "moves with"),
    ({"momentum_schedule": "onecycle(cycle_momentum=true)"}, "momentum_schedule", "beside a learning rate"),
    ({"momentum_schedule": "cosine:5 > average"}, "momentum_schedule", "cannot average weights"),
    ({"weight_decay_schedule": "cosine"}, "weight_decay_schedule", "there is no weight decay to move"),
    ({"scheduler": "onecycle(cycle_momentum=true)", "optimizer": "adagrad"}, "scheduler", "has no momentum that"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "field", "message"), REFUSED)
def test_what_cannot_be_moved_is_a_sentence(values: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        plan(**values)
    assert caught.value.field == field
    assert caught.value.hint


def test_a_wrong_expression_names_its_option() -> None:
    for name in ("momentum_schedule", "weight_decay_schedule"):
        with pytest.raises(UsageError, match="'cosin' is not a schedule") as caught:
            from_fields(PlanSettings, {name: "cosin"})
        assert caught.value.field == name


def test_what_never_changes_anything_is_warned_of() -> None:
    assert plan(**ADAMW, weight_decay_schedule="step(step_size=30)").cautions == (
        "the weight decay stays at 0.04: 'step(step_size=30)' never changes it",
    )
    assert not plan(**ADAMW, weight_decay_schedule="plateau").cautions


def test_a_stated_momentum_counts_where_the_optimizer_has_it() -> None:
    base = {name: base_momentum(PlanSettings(optimizer=name)) for name in MOMENTA}
    assert base == {name: own for name, (_, own) in MOMENTA.items()}
    assert base_momentum(PlanSettings(optimizer="muon", momentum=0.5, beta1=0.7)) == 0.5
    assert base_momentum(PlanSettings(optimizer="muon", beta1=0.7)) == MOMENTA["muon"][1]
    assert base_momentum(PlanSettings(optimizer="lambw", beta1=0.7)) == 0.7


def test_a_run_that_goes_on_for_longer_bends_them_only_where_the_rate_is_stretched() -> None:
    saved = TrainSettings.model_validate(
        ADAMW | {"epochs": 8, "scheduler": "cosine", "weight_decay_schedule": "cosine(eta_min=0.4)"}
    ).model_copy(update={"momentum_schedule": "step(step_size=6)"})
    at, longer = Standing(4.0, 5e-5, (), 20), saved.model_copy(update={"epochs": 12})
    held = extended(saved, longer, at, Extend("hold"))
    assert held.weight_decay_schedule == "cosine(t_max=8,eta_min=0.4):8"
    # It does not depend on the length.
    assert held.momentum_schedule == "step(step_size=6)"
    plans = make_plan(saved, 20), make_plan(held, 20)
    assert [plans[0].values(t).weight_decay for t in range(9)] == [plans[1].values(t).weight_decay for t in range(9)]
    assert plans[1].values(11).weight_decay == plans[0].values(8).weight_decay
    assert extended(saved, longer, at, Extend("stretch")) == longer
    other = longer.model_copy(update={"weight_decay_schedule": "linear"})
    assert extended(saved, other, at, Extend("hold")).weight_decay_schedule == "linear"


def test_they_may_change_in_a_run_that_has_begun() -> None:
    saved = TrainSettings.model_validate(ADAMW | {"weight_decay_schedule": "cosine"})
    changed, changes = change_settings(saved, {"weight_decay_schedule": "none", "momentum_schedule": "linear(1, 0.9)"})
    assert (changed.weight_decay_schedule, changed.momentum_schedule) == ("", "linear(1, 0.9)")
    assert {each.name for each in changes} == {"weight_decay_schedule", "momentum_schedule"}
