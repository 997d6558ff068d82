"""Momentum and weight decay in the optimizer: every group keeps its share, and gets back what it had."""

import json
from typing import Any

import pytest
from torch import nn
from torch.optim import Optimizer

from clfctl.display.epochs import plain_line
from clfctl.display.live import epoch_table
from clfctl.display.seam import moved_lines
from clfctl.engine.optimizer_state import kept_decay
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.rates import check_momentum, note_what_moves, set_rates
from clfctl.engine.trainer import Trainer
from clfctl.errors import UsageError
from clfctl.planning.moved import MOMENTA, WITHOUT, base_momentum
from clfctl.planning.plan import Values, make_plan
from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.history import EpochResult
from clfctl.settings.groups import TrainSettings
from tests.engine.test_exact_resume import QUICK, trainer_of

MOVED: dict[str, Any] = {
    "optimizer": "adamw", "weight_decay": 0.04, "momentum_schedule": "linear(1, 0.5)",
    "weight_decay_schedule": "cosine(eta_min=0.4, every=batch)", "lr": 0.01,
}  # fmt: skip


def made(**values: Any) -> tuple[Optimizer, TrainSettings]:
    tiny = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    settings = TrainSettings.model_validate({"lr": 0.01} | values)
    optimizer = build_optimizer(settings, tiny)
    check_momentum(optimizer, settings)
    note_what_moves(optimizer, make_plan(settings, 10), settings.weight_decay)
    return optimizer, settings


def values_of(optimizer: Optimizer) -> dict[str, tuple[float, float]]:
    """Momentum and weight decay of each group."""
    return {
        group["name"]: (group["betas"][0] if "betas" in group else group["momentum"], group["weight_decay"])
        for group in optimizer.param_groups
    }


def test_groups_keep_their_shares_and_get_back_what_they_had() -> None:
    optimizer, settings = made(**MOVED)
    set_rates(optimizer, Values(0.005, 0.7, 0.2), 0.01, 0)
    assert values_of(optimizer) == {"decayed": (0.7, 0.2), "not decayed": (0.7, 0.0)}
    assert [group["betas"][1] for group in optimizer.param_groups] == [0.999] * 2
    before = settings.model_copy(update={"momentum_schedule": "", "weight_decay_schedule": ""})
    note_what_moves(optimizer, make_plan(before, 10), 0.04)
    assert values_of(optimizer) == {"decayed": (0.9, 0.04), "not decayed": (0.9, 0.0)}
    assert not {"initial_momentum", "decay_share"} & {key for group in optimizer.param_groups for key in group}


def test_a_group_without_schedules_is_saved_as_before() -> None:
    optimizer, _ = made(optimizer="adamw", weight_decay=0.04)
    set_rates(optimizer, Values(0.005), 0.01, 0)
    assert values_of(optimizer) == {"decayed": (0.9, 0.04), "not decayed": (0.9, 0.0)}
    assert not {"initial_momentum", "decay_share"} & {key for group in optimizer.param_groups for key in group}


def test_the_table_of_momenta_is_what_optimizers_have() -> None:
    for name in MOMENTA:
        optimizer, settings = made(optimizer=name, momentum_schedule="linear(1, 0.5)")
        (group,) = optimizer.param_groups
        assert group["initial_momentum"] == base_momentum(settings), name
        set_rates(optimizer, Values(0.005, 0.123), 0.01, 0)
        assert 0.123 in (group.get("momentum"), (*(group.get("betas") or ()), None)[0], group.get("beta1")), name


def test_others_state_where_they_begin_or_have_no_momentum() -> None:
    for values in ({"optimizer": "adafactorbv", "momentum": 0.5}, {"optimizer": "adafactor", "beta1": 0.5}):
        optimizer, _ = made(**values, momentum_schedule="linear(1, 0.5)")
        assert optimizer.param_groups[0]["initial_momentum"] == 0.5
    for name in WITHOUT:
        tiny = nn.Linear(2, 2)
        assert not {"momentum", "betas", "beta1"} & {*build_optimizer(TrainSettings(optimizer=name), tiny).defaults}


def test_a_momentum_that_is_not_the_one_it_begins_from_is_a_sentence() -> None:
    settings = TrainSettings(optimizer="adamw", momentum_schedule="linear(1, 0.5)")
    optimizer = build_optimizer(settings, nn.Linear(2, 2))
    optimizer.param_groups[0]["betas"] = (0.8, 0.999)
    with pytest.raises(UsageError, match=r"the momentum of adamw is 0\.8, and its schedule would begin from 0\.9"):
        check_momentum(optimizer, settings)
    del optimizer.param_groups[0]["betas"]
    with pytest.raises(UsageError, match="adamw has no momentum that could be moved"):
        check_momentum(optimizer, settings)


def stopped_after_an_epoch(values: dict[str, Any]) -> Trainer:
    trainer = trainer_of(TrainSettings.model_validate(QUICK | {"epochs": 2} | values))
    next(trainer.epochs())
    trainer.save_last()
    return trainer


def test_history_has_them_and_a_run_goes_on_without_them() -> None:
    trainer = stopped_after_an_epoch(MOVED)
    (result,) = trainer.state.cursor.history
    at = {t: trainer.plan.values(t / 3) for t in (0, 2)}
    assert result.moved == {
        "momentum_start": at[0].momentum, "momentum": at[2].momentum,
        "weight_decay_start": at[0].weight_decay, "weight_decay": at[2].weight_decay,
    }  # fmt: skip
    assert EpochResult.from_record(json.loads(json.dumps(result.as_record()))) == result
    assert "momentum 0.75" in plain_line(result, 2)
    table = epoch_table([result], 2, 200)
    assert {"momentum", "decay"} <= {str(column.header) for column in table.columns}
    # What the settings say, not what the last step had.
    plain = trainer.state.settings.model_copy(update={"momentum_schedule": "", "weight_decay_schedule": ""})
    resumed = trainer_of(plain, trainer.saver.run)
    assert [*moved_lines(resumed, trainer.plan)] == [
        "▲ at epoch 1: from the last step to the next the momentum goes from 0.75 to 0.9",
        f"▲ at epoch 1: from the last step to the next the weight decay goes from {at[2].weight_decay:.4g} to 0.04",
    ]
    assert {each for group in resumed.state.optimizer.param_groups for each in group["betas"]} == {0.9, 0.999}
    assert {group["weight_decay"] for group in resumed.state.optimizer.param_groups} == {0.04, 0.0}
    (*_, last) = resumed.epochs()
    assert last.moved == {}
    assert kept_decay(trainer.state.settings, load_checkpoint(trainer.saver.run.last)) == ""


def test_one_that_is_added_begins_with_what_there_was() -> None:
    trainer = stopped_after_an_epoch({"optimizer": "sgd", "weight_decay": 0.1, "lr": 0.01})
    assert trainer.state.cursor.history[0].moved == {}
    settings = trainer.state.settings.model_copy(
        update={"weight_decay_schedule": "linear(1, 0.5)", "scheduler": "onecycle(cycle_momentum=true)"}
    )
    resumed = trainer_of(settings, trainer.saver.run)
    (*_, last) = resumed.epochs()
    assert last.moved["weight_decay_start"] == pytest.approx(0.075)
    assert {group["initial_momentum"] for group in resumed.state.optimizer.param_groups} == {0.9}
    assert {group["decay_share"] for group in resumed.state.optimizer.param_groups} == {1.0, 0.0}


def test_a_table_has_no_columns_for_what_does_not_move() -> None:
    result = EpochResult(1, 0.1, 0.1, {"val_loss": 1.0, "train_loss": 1.0}, False, 1.0, 1.0)
    assert not {"momentum", "decay"} & {str(column.header) for column in epoch_table([result], 2, 200).columns}
    assert "momentum" not in plain_line(result, 2)
