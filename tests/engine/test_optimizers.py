"""Optimizers go by the settings, every one of timm's trains and resumes to the bit, or is refused with its reason."""

from typing import Any

import pytest
import torch
from torch import nn

from clfctl.engine.optimizer_state import kept_decay
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.param_groups import Rule, decayed_names, make_groups
from clfctl.engine.trainer import Trainer
from clfctl.errors import UsageError
from clfctl.models.custom_cnn import CustomCNN
from clfctl.models.factory import rebuild_model
from clfctl.runs.checkpoint import load_checkpoint, save_checkpoint
from clfctl.settings.groups import TrainSettings
from clfctl.settings.optimization import OptimizerSettings
from tests.engine.test_exact_resume import QUICK, assert_same, state_of, trainer_of

OF_OURS = ("adam", "adamw", "sgd")
# One of each kind of state: half precision, factored, of whole groups, none, of several betas.
CORE = (*OF_OURS, "adafactor", "adafactorbv", "lamb", "lion", "muon", "nadamw", "radam", "adan", "lars")


def names() -> list[str]:
    from timm.optim import list_optimizers

    return sorted({*OF_OURS, *list_optimizers()})


def made(name: str, **values: object) -> torch.optim.Optimizer:
    return build_optimizer(OptimizerSettings.model_validate({"optimizer": name, "lr": 0.01} | values), CustomCNN(2))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("adammw", "'adammw' is not an optimizer"),
        ("lookahead_adam", "Lookahead's second copy of the weights cannot be saved"),
        ("adahessian", "needs second derivatives"),
        ("fusedadam", "belongs to the package apex"),
        ("bnbadam8bit", "belongs to the package bitsandbytes"),
        ("kron", "keeps a state that cannot be saved"),
        ("kronc", "keeps a state that cannot be saved"),
    ],
)
def test_what_cannot_train_here_is_refused_with_its_reason(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"^optimizer: .*{reason}") as caught:
        made(name)
    assert caught.value.hint


def refused_or_made(name: str, weight_decay: float) -> tuple[str, torch.optim.Optimizer | None]:
    try:
        return "", made(name, weight_decay=weight_decay)
    except UsageError as error:
        return error.field, None


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_every_optimizer_gets_the_weight_decay_of_the_settings_or_is_refused(weight_decay: float) -> None:
    n_made = 0
    for name in names():
        field, optimizer = refused_or_made(name, weight_decay)
        if optimizer is None:
            assert field == "optimizer" or (field == "weight_decay" and weight_decay), name
            continue
        n_made += 1
        found = {group["name"]: group.get("weight_decay", 0.0) for group in optimizer.param_groups}
        expected = {"decayed": weight_decay, "not decayed": 0.0} if weight_decay else {"all": 0.0}
        assert found == expected, name
        assert {group["initial_lr"] for group in optimizer.param_groups} == {0.01}, name
    assert n_made > 70


# Two-dimensional biases, and what stands for no part of the image, of every kind that timm has.
UNDECAYED = {
    "custom": ("stages.0.1.weight", "head.bias"),
    "test_vit": ("cls_token", "pos_embed", "norm.weight", "head.bias"),
    "swin_tiny_patch4_window7_224": ("layers.0.blocks.0.attn.relative_position_bias_table",),
    "levit_128s": ("stages.0.blocks.0.attn.attention_biases",),
    "efficientformer_l1": ("stages.3.blocks.4.token_mixer.attention_biases",),
    "deit_tiny_distilled_patch16_224": ("cls_token", "dist_token", "pos_embed"),
    "test_vit4": ("reg_token", "pos_embed"),
}


@pytest.mark.parametrize("model", UNDECAYED)
def test_what_the_help_leaves_out_is_not_decayed(model: str) -> None:
    settings = TrainSettings(model=model)
    found = rebuild_model(model, 10, settings, 224)
    every, decayed = dict(found.named_parameters()), set(decayed_names(found))
    for name in UNDECAYED[model]:
        assert name in every
        assert name not in decayed
    # Nothing but weights is left: of layers that are no normalization.
    assert {name for name in every if name.endswith(("head.weight", "qkv.weight", "fc1.weight"))} <= decayed


def test_the_first_rule_that_matches_decides() -> None:
    model = CustomCNN(2)
    rules = (
        Rule("frozen", r"^stages\.0\.", starts_at=None),
        Rule("head", r"^head\.", rate_scale=10, weight_decay=0.0),
        Rule("second", r"^head\.bias", starts_at=2),
        Rule("body"),
    )
    groups = {group["name"]: group for group in make_groups(model, rules, 0.1, 0.05)}
    assert list(groups) == ["frozen", "head", "body"]
    assert (groups["head"]["lr"], groups["head"]["weight_decay"]) == (1.0, 0.0)
    assert groups["head"]["names"] == ["head.weight", "head.bias"]
    assert (groups["body"]["lr"], groups["body"]["weight_decay"]) == (0.1, 0.05)
    assert groups["frozen"]["starts_at"] is None
    assert "starts_at" not in groups["body"]
    assert sum(len(group["params"]) for group in groups.values()) == len([*model.parameters()])


def resumes_to_the_bit(settings: TrainSettings) -> Trainer:
    """Train whole, and stopped inside the second epoch: two resumed states are one."""
    whole = trainer_of(settings)
    list(whole.epochs())
    first = trainer_of(settings.model_copy(update={"epochs": 1}))
    list(first.epochs())
    resumed = trainer_of(settings, first.saver.run)
    assert resumed.state.cursor.epoch == 1
    list(resumed.epochs())
    assert_same(resumed, whole, state_of(whole))
    return resumed


TWO_EPOCHS: dict[str, Any] = QUICK | {"epochs": 2, "save_every_batches": 0, "scheduler": "constant"}


@pytest.mark.parametrize("name", CORE)
def test_resumed_is_as_if_never_stopped(name: str) -> None:
    resumes_to_the_bit(TrainSettings.model_validate(TWO_EPOCHS | {"optimizer": name, "weight_decay": 0.01}))


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_optimizer_of_timm_trains_and_resumes_or_is_refused(name: str) -> None:
    field, optimizer = refused_or_made(name, 0.0)
    if optimizer is None:
        assert field == "optimizer"
        return
    resumes_to_the_bit(TrainSettings.model_validate(TWO_EPOCHS | {"optimizer": name}))


def as_before_names(trainer: Trainer) -> None:
    """Make the run's checkpoint one of the versions that knew groups by position alone."""
    path = trainer.saver.run.last
    checkpoint = load_checkpoint(path)
    for number in range(2):
        for key in ("name", "names", "rate_scale"):
            checkpoint.meta["optimizer"].pop(f"group{number}.{key}", None)
    save_checkpoint(path, checkpoint)


def test_an_older_run_keeps_its_groups_and_the_weight_decay_that_it_had() -> None:
    settings = TrainSettings.model_validate(TWO_EPOCHS | {"optimizer": "adamw", "epochs": 1})
    trainer = trainer_of(settings)
    # As torch's own default made it.
    trainer.state.optimizer.param_groups[0]["weight_decay"] = 0.01
    list(trainer.epochs())
    as_before_names(trainer)
    resumed = trainer_of(settings, trainer.saver.run)
    assert [group["weight_decay"] for group in resumed.state.optimizer.param_groups] == [0.01]
    told = kept_decay(settings, load_checkpoint(trainer.saver.run.last))
    assert told == (
        "the run keeps the weight decay of 0.01 that adamw has applied since it began, though its settings say 0"
    )
    assert kept_decay(replace_decay(settings, 0.01), load_checkpoint(trainer.saver.run.last)) == ""


def replace_decay(settings: TrainSettings, weight_decay: float) -> TrainSettings:
    return settings.model_copy(update={"weight_decay": weight_decay})


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.1), (0.1, 0.0), (0.1, 0.2)])
@pytest.mark.parametrize("is_older", [False, True])
def test_another_weight_decay_makes_other_groups_and_loses_no_state(
    before: float, after: float, is_older: bool
) -> None:
    settings = TrainSettings.model_validate(TWO_EPOCHS | {"optimizer": "adamw", "epochs": 1, "weight_decay": before})
    trainer = trainer_of(settings)
    list(trainer.epochs())
    if is_older:
        as_before_names(trainer)
    gathered = moments(trainer)
    resumed = trainer_of(replace_decay(settings, after), trainer.saver.run)
    found = {group["name"]: group["weight_decay"] for group in resumed.state.optimizer.param_groups}
    assert found == ({"decayed": after, "not decayed": 0.0} if after else {"all": 0.0})
    assert moments(resumed).keys() == gathered.keys()
    assert all(torch.equal(tensor, moments(resumed)[name]) for name, tensor in gathered.items())


def moments(trainer: Trainer) -> dict[str, torch.Tensor]:
    """What the optimizer has gathered of each parameter, by the parameter's name."""
    model: nn.Module = trainer.state.model
    state = trainer.state.optimizer.state
    return {name: state[parameter]["exp_avg"] for name, parameter in model.named_parameters()}
