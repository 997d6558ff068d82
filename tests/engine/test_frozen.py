"""Freezing and layer decay: what is frozen stays as it is to the bit until its time, and each layer has its rate."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import Result

from clfctl.engine.frozen import begin_epoch, begun_only, frozen_names, keep_statistics, train_mode
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.param_groups import decayed_names
from clfctl.engine.rates import set_rates
from clfctl.engine.trainer import Trainer
from clfctl.errors import UsageError
from clfctl.models.custom import CustomModels
from clfctl.models.custom_cnn import CustomCNN
from clfctl.models.factory import rebuild_model
from clfctl.models.sources import source_of
from clfctl.planning.changes import change_settings
from clfctl.planning.plan import Values
from clfctl.settings.groups import TrainSettings
from clfctl.settings.optimization import OptimizerSettings
from tests.engine.test_exact_resume import QUICK, state_of, trainer_of

SOURCE = CustomModels()
HEAD = {"head.weight", "head.bias"}


def optimizer_of(model: nn.Module, **values: object) -> torch.optim.Optimizer:
    return build_optimizer(OptimizerSettings.model_validate({"lr": 0.1} | values), model, SOURCE)


@pytest.mark.parametrize(
    ("freeze", "n_tensors"),
    [
        ("backbone", 30),
        ("1", 6),
        ("5", 30),
        ("stages.0.*", 6),
        ("*.bias", 11),
        (r"^stages\.[01]\.", 12),
        ("head", 2),  # no name as a whole, but part of two
        ("head.weight", 1),
    ],
)
def test_what_is_frozen_by_word_number_pattern_and_expression(freeze: str, n_tensors: int) -> None:
    model = CustomCNN(3)
    assert len(frozen_names(freeze, model, SOURCE)) == n_tensors
    groups = optimizer_of(model, freeze=freeze).param_groups
    frozen = [each for group in groups if group["name"].startswith("frozen") for each in group["params"]]
    assert len(frozen) == n_tensors
    assert sum(len(group["params"]) for group in groups) == 32


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        ("*", "'\\*' matches all 32 parameters: nothing would be trained"),
        (".", "'.' matches all 32 parameters"),
        ("0", "the model has 6 layer groups; 0 are none: nothing would be frozen"),
        ("6", "the model has 6 layer groups; 6 are all of them: nothing would be trained"),
        ("blocks.0.*", "no parameter of the model matches 'blocks.0.\\*'"),
        ("9" * 5000, "no parameter of the model matches"),
        ("(" * 5000, "no parameter .* not valid"),
        ("*.gamma", "no parameter of the model matches .* as a regular expression it is not valid"),
    ],
)
def test_all_or_nothing_frozen_is_a_sentence(freeze: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        frozen_names(freeze, CustomCNN(3), SOURCE)
    assert caught.value.field == "freeze"
    assert caught.value.hint


@pytest.mark.parametrize("model", ["test_efficientnet", "test_vit", "test_resnet", "test_convnext", "poolformer_s12"])
def test_layers_decay_as_timm_decays_them(model: str) -> None:
    from timm.optim import param_groups_layer_decay

    made = rebuild_model(model, 10, TrainSettings(model=model), 160)
    names = {id(parameter): name for name, parameter in made.named_parameters()}
    expected = {
        names[id(parameter)]: group["lr_scale"]
        for group in param_groups_layer_decay(made, layer_decay=0.7)
        for parameter in group["params"]
    }
    settings = OptimizerSettings(lr=0.1, layer_decay=0.7, weight_decay=0.05, optimizer="adamw")
    groups = build_optimizer(settings, made, source_of(model)).param_groups
    found = {name: group["rate_scale"] for group in groups for name in group["names"]}
    assert found == pytest.approx(expected)
    assert len({group["name"] for group in groups}) == len(groups)
    # No decay on norms and biases, in any layer.
    decayed = {name for group in groups if group["weight_decay"] for name in group["names"]}
    assert decayed == set(decayed_names(made))


def test_rates_of_backbone_layers_and_classifier() -> None:
    groups = optimizer_of(CustomCNN(3), backbone_lr_scale=0.1, layer_decay=0.5).param_groups
    rates = {group["name"]: group["initial_lr"] for group in groups}
    assert rates == pytest.approx(
        {f"layer {n + 1}": 0.1 * 0.1 * 0.5 ** (5 - n) for n in range(5)} | {"classifier": 0.1}
    )
    groups = optimizer_of(CustomCNN(3), backbone_lr_scale=2, weight_decay=0.1, optimizer="adamw").param_groups
    rates = {group["name"]: (group["initial_lr"], group["weight_decay"]) for group in groups}
    assert rates == {
        "backbone": (0.2, 0.1), "backbone, not decayed": (0.2, 0.0),
        "classifier": (0.1, 0.1), "classifier, not decayed": (0.1, 0.0),
    }  # fmt: skip


class OfTwoLayers(CustomModels):
    """A network whose classifier reaches into a layer that is not the last, as that of timm's caformer."""

    def head(self, model: nn.Module) -> set[str]:
        return super().head(model) | {"stages.4.3.weight"}


def test_a_classifier_of_several_layers_has_a_group_in_each() -> None:
    settings = OptimizerSettings(lr=0.1, layer_decay=0.5, backbone_lr_scale=0.1)
    groups = build_optimizer(settings, CustomCNN(3), OfTwoLayers()).param_groups
    rates = {group["name"]: group["initial_lr"] for group in groups if "stages.4.3.weight" in group["names"]}
    assert rates == pytest.approx({"layer 5 of the classifier": 0.05})
    assert len({group["name"] for group in groups}) == len(groups)


def test_a_rate_is_zero_until_its_time_and_then_that_of_the_plan() -> None:
    optimizer = optimizer_of(CustomCNN(3), freeze="backbone", unfreeze_at=2, backbone_lr_scale=0.5)
    seen = []
    for t in (0, 1.9, 2, 2.5):
        set_rates(optimizer, Values(0.08), 0.1, t)
        seen.append({group["name"]: group["lr"] for group in optimizer.param_groups})
    assert seen[:2] == [{"frozen backbone": 0.0, "classifier": 0.08}] * 2
    assert seen[2:] == [{"frozen backbone": 0.04, "classifier": 0.08}] * 2


def test_frozen_batch_norms_stay_in_evaluation_mode_until_they_are_trained() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4), nn.Dropout()
            )
            self.neck = nn.BatchNorm2d(4, affine=False)
            self.head = nn.Linear(4, 2)

    model = Net()
    for parameter in model.body.parameters():
        parameter.requires_grad_(False)
    train_mode(model)
    body = model.body
    assert [module.training for module in (body[1], body[2], body[3], model.neck, model.head)] == [
        False, False, True, True, True,
    ]  # fmt: skip
    for parameter in model.body.parameters():
        parameter.requires_grad_(True)
    train_mode(model)
    assert all(module.training for module in model.modules())


def test_statistics_that_are_kept_do_not_move_and_the_weights_do() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2))
    model(torch.rand(2, 3, 4, 4))
    keep_statistics(model)
    copied = copy.deepcopy(model)  # as an average of the weights is
    for each in (model, copied):
        train_mode(each)
        assert [module.training for module in each] == [True, False, True, True]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    images = 5 + torch.rand(6, 3, 4, 4)
    # In training it answers as it does when it is evaluated.
    torch.testing.assert_close(model(images), model.eval()(images), rtol=0, atol=0)
    train_mode(model)
    model(images).square().mean().backward()
    optimizer.step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {name for name, _ in model.named_parameters()}


def test_a_model_without_batch_normalization_is_told(cli: Callable[..., Result], photos: Path) -> None:
    words = ("--data", str(photos), "--model", "vit_tiny_patch16_224", "--image-size", "32", "--no-pretrained")
    result = cli("train", *words, "--freeze-bn", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "--freeze-batch-norm does nothing" in result.stdout.replace("\n", " ")


class Counting(torch.optim.SGD):
    """Counts its steps in the group, as several of timm's do."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        super().step(closure)
        for group in self.param_groups:
            group["count"] = group.get("count", 0) + 1


def test_counters_of_a_group_start_when_it_does() -> None:
    model = CustomCNN(3)
    rest = [each for name, each in model.named_parameters() if name not in HEAD]
    groups: list[dict[str, Any]] = [
        {"params": rest, "starts_at": 1},
        {"params": [*model.head.parameters()]},
        {"params": [], "starts_at": None},
    ]
    optimizer = Counting(groups, 0.1)
    counts = []
    for epoch in range(3):
        begin_epoch(model, optimizer, epoch)
        model(torch.rand(2, 3, 32, 32)).sum().backward()
        with begun_only(optimizer):
            optimizer.step()
        optimizer.zero_grad()
        counts.append([group.get("count", 0) for group in optimizer.param_groups])
    assert counts == [[0, 1, 0], [1, 2, 0], [2, 3, 0]]
    with pytest.raises(RuntimeError), begun_only(optimizer):
        raise RuntimeError
    assert len(optimizer.param_groups) == 3


# With momentum, decay, a trust ratio of the layer, a sign, counters of the group.
OPTIMIZERS = ("adamw", "sgd", "lamb", "lion", "adan")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_frozen_weights_stay_the_same_to_the_bit_and_then_begin_as_new(optimizer: str) -> None:
    values = {"optimizer": optimizer, "weight_decay": 0.1, "freeze": "backbone", "unfreeze_at": 2, "clip_grad": 1.0}
    trainer = trainer_of(TrainSettings.model_validate(QUICK | values | {"drop_path": 0.0}))
    first = weights(trainer)
    epochs = trainer.epochs()
    next(epochs)
    next(epochs)
    second = weights(trainer)
    head = {name for name in first if name.startswith("classifier.")}
    # Statistics of the batch normalization among them.
    assert [name for name in first if not torch.equal(first[name], second[name])] == sorted(head, reverse=True)
    state = trainer.state.optimizer.state
    model = trainer.state.model
    frozen = [parameter for name, parameter in model.named_parameters() if name not in head]
    assert not any(state.get(parameter) for parameter in frozen)
    next(epochs)
    third = weights(trainer)
    moved = [name for name in first if not torch.equal(second[name], third[name])]
    assert len(moved) == len(first)
    if optimizer == "adamw":
        assert {int(state[parameter]["step"]) for parameter in frozen} == {trainer.train_loader.n_batches}


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.state.model.state_dict().items()}


CHANGES = [
    ({"freeze": "backbone"}, {"freeze": ""}),
    ({"freeze": ""}, {"freeze": "2"}),
    ({"freeze": "backbone"}, {"unfreeze_at": 2}),
    ({"freeze": "backbone", "unfreeze_at": 2}, {"unfreeze_at": None}),
    ({"layer_decay": 0.7}, {"layer_decay": None, "backbone_lr_scale": 0.1}),
]


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_each_may_change_when_resuming_and_no_moment_is_lost(before: dict[str, Any], after: dict[str, Any]) -> None:
    values = QUICK | {"optimizer": "adamw", "weight_decay": 0.1} | before
    settings = TrainSettings.model_validate(values)
    trainer = trainer_of(settings.model_copy(update={"epochs": 1}))
    list(trainer.epochs())
    changed = TrainSettings.model_validate(values | after)
    resumed = trainer_of(changed, trainer.saver.run)
    kept = moments(trainer)
    assert kept.keys() == moments(resumed).keys()
    assert all(torch.equal(tensor, moments(resumed)[name]) for name, tensor in kept.items())
    # The groups are those that a new run with these settings would have.
    expected = [group_of(each) for each in trainer_of(changed).state.optimizer.param_groups]
    assert [group_of(each) for each in resumed.state.optimizer.param_groups] == expected
    first = weights(resumed)
    list(resumed.epochs())
    last = weights(resumed)
    unmoved = {name for name in first if torch.equal(first[name], last[name])}
    is_ever_trained = changed.freeze != "backbone" or changed.unfreeze_at
    assert bool(unmoved) == (not is_ever_trained or changed.freeze == "2")


def test_the_time_goes_with_what_was_frozen() -> None:
    saved = TrainSettings(freeze="backbone", unfreeze_at=3)
    changed, changes = change_settings(saved, {"freeze": ""})
    assert (changed.freeze, changed.unfreeze_at) == ("", None)
    assert [change.name for change in changes] == ["freeze", "unfreeze_at"]
    assert change_settings(saved, {"freeze": 2})[0].unfreeze_at == 3


def group_of(group: dict[str, Any]) -> tuple[object, ...]:
    return tuple(group.get(key) for key in ("name", "names", "initial_lr", "weight_decay", "starts_at", "betas"))


def moments(trainer: Trainer) -> dict[str, torch.Tensor]:
    state = trainer.state.optimizer.state
    named = trainer.state.model.named_parameters()
    return {name: state[each]["exp_avg"].clone() for name, each in named if state.get(each)}


def test_without_these_settings_groups_are_what_they_were() -> None:
    trainer = trainer_of(TrainSettings.model_validate(QUICK | {"optimizer": "adamw", "weight_decay": 0.1}))
    groups = trainer.state.optimizer.param_groups
    assert [group["name"] for group in groups] == ["decayed", "not decayed"]
    assert not any("starts_at" in group for group in groups)
    assert state_of(trainer)
