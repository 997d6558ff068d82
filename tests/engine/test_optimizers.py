"""Optimizers go by the settings, every one of timm's trains and resumes to the bit, or is refused with its reason."""

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from clfctl.engine import kron as own_kron
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
    tiny = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    return build_optimizer(OptimizerSettings.model_validate({"optimizer": name, "lr": 0.01} | values), tiny)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("adammw", "'adammw' is not an optimizer"),
        ("lookahead_adam", "Lookahead's second copy of the weights cannot be saved"),
        ("adamw_schedule_free", "there are no schedule-free optimizers here"),
        ("schedulefree-sgd", "there are no schedule-free optimizers here"),
        ("adahessian", "needs second derivatives"),
        ("fusedadam", "belongs to the package apex"),
        ("bnbadam8bit", "belongs to the package bitsandbytes"),
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


def groups_of(name: str, **values: object) -> dict[str, Any]:
    group: dict[str, Any] = made(name, **values).param_groups[0]
    return group


def test_stated_options_reach_the_optimizer_and_others_keep_its_own() -> None:
    assert groups_of("adam", beta1=0.5)["betas"] == (0.5, 0.999)
    assert groups_of("adamw", beta2=0.9, opt_eps=1e-5)["betas"] == (0.9, 0.9)
    assert groups_of("adamw", opt_eps=1e-5)["eps"] == 1e-5
    assert [groups_of("sgd")["momentum"], groups_of("sgd", momentum=0.0)["momentum"]] == [0.9, 0.0]
    assert groups_of("muon", momentum=0.5, beta1=0.7)["betas"] == (0.7, 0.95)
    assert groups_of("muon", momentum=0.5)["momentum"] == 0.5
    assert groups_of("adan", beta2=0.5)["betas"] == (0.98, 0.5, 0.99)
    assert groups_of("lion", beta1=0.5, beta2=0.6)["betas"] == (0.5, 0.6)
    assert groups_of("rmsprop", beta2=0.5)["alpha"] == 0.5
    assert groups_of("adafactor", beta1=0.5)["beta1"] == 0.5


@pytest.mark.parametrize(
    ("name", "values", "hint"),
    [
        ("sgd", {"beta1": 0.9}, "leave `beta1=` out; it has `momentum=`"),
        ("lion", {"opt_eps": 1e-8}, "leave `opt_eps=` out; it has `beta1=` and `beta2=`"),
        ("adam", {"momentum": 0.9}, "leave `momentum=` out; it has `opt_eps=` and `beta1=` and `beta2=`"),
        ("adafactor", {"beta2": 0.9}, "leave `beta2=` out; it has `opt_eps=` and `beta1=`"),
        ("kron", {"opt_eps": 0.1}, "leave `opt_eps=` out; it has `momentum=`"),
    ],
)
def test_an_option_that_an_optimizer_has_not_is_a_sentence(name: str, values: dict[str, float], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(name, **values)
    (field,) = values
    assert str(caught.value) == f"{field}: {name} has no such parameter"
    assert caught.value.hint == hint


def test_every_optimizer_takes_what_its_class_has_a_parameter_for() -> None:
    stated = {"momentum": 0.5, "beta1": 0.5, "beta2": 0.6, "opt_eps": 1e-5}
    others = set[tuple[str, str]]()
    for name, (field, value) in itertools.product(names(), stated.items()):
        try:
            group = groups_of(name, **{field: value})
        except UsageError as error:
            others |= {(name, error.field)} - {(name, "optimizer"), (name, field)}
            continue
        values = [each for one in group.values() for each in (one if isinstance(one, tuple) else (one,))]
        assert value in values, (name, field)
    assert not others


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


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (4, 1), (4, 3, 2, 2), (4, 1, 3, 3)])
def test_krons_products_are_those_of_timm(shape: tuple[int, ...]) -> None:
    from timm.optim import kron

    torch.manual_seed(0)
    grad, noise = torch.randn(shape), torch.randn(shape)
    factors, expressions = kron._init_Q_exprs(grad, 1.0, 2048, 2, None)
    factors = [each + 0.1 * torch.rand_like(each).triu() if each.ndim > 1 else each + 0.1 for each in factors]
    found = own_kron._calc_a_and_conj_b(expressions[0], grad, factors, noise)
    expected = kron._calc_A_and_conjB(expressions[0], grad, factors, noise)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(
        own_kron._precond_grad(factors, expressions, grad), kron._precond_grad(factors, expressions, grad)
    )
