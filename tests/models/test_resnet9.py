"""ResNet-9, for small images: its size, its groups, and that it is a model like any other here."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import Result

from clfctl.engine.features import classifier_of
from clfctl.models.custom import N_PARAMETERS, CustomModels
from clfctl.models.resnet9 import ResNet9
from clfctl.models.sources import source_of
from clfctl.settings.network import ModelSettings

NAMES = ("resnet9", "resnet9_small")


@pytest.mark.parametrize("name", NAMES)
def test_it_has_the_parameters_that_are_listed(name: str) -> None:
    model = source_of(name).build(ModelSettings(model=name), 10, 28).model
    assert sum(each.numel() for each in model.parameters()) == N_PARAMETERS[name]


@pytest.mark.parametrize("side", [8, 28, 33, 64])
def test_it_takes_small_images(side: int) -> None:
    assert ResNet9(3, width=4)(torch.rand(2, 3, side, side + 5)).shape == (2, 3)


def test_layers_are_its_stages_and_its_head() -> None:
    model = ResNet9(3, width=4)
    layers = CustomModels().layers(model)
    assert sorted(set(layers.values())) == [0, 1, 2, 3, 4]
    assert {name for name, group in layers.items() if group == 4} == {"head.weight", "head.bias"}
    assert set(layers) == {name for name, _ in model.named_parameters()}


def test_its_classifier_is_found() -> None:
    model = ResNet9(3, width=4)
    assert classifier_of(model, "resnet9", 16) is model.head


def test_checkpointed_activations_give_the_same_gradients() -> None:
    model, images = ResNet9(3, width=4), torch.rand(4, 3, 16, 16)
    gradients = []
    for is_checkpointing in (False, True):
        model.zero_grad()
        model.set_grad_checkpointing(is_checkpointing)
        model(images).square().sum().backward()
        gradients.append([each.grad.clone() for each in model.parameters() if each.grad is not None])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--image-size", "7"), "it takes 8 pixels or more"),
        (("--pretrained",), "the resnet9_small model has no published weights"),
        (("--drop-path", "0.1"), "the resnet9_small model has no blocks to skip"),
    ],
)
def test_what_it_cannot_do_is_a_sentence(
    cli: Callable[..., Result], photos: Path, words: tuple[str, ...], message: str
) -> None:
    result = cli("train", "--data", str(photos), "--model", "resnet9_small", *words)
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")
