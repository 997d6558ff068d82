"""A network whose batch normalization is folded: what it was, to rounding, or left as it is."""

import threading

import pytest
import timm
import torch
from torch import nn

from clfctl.engine.folded import Folded, folded
from clfctl.engine.frozen import norms_of
from clfctl.models.custom_cnn import CustomCNN

IMAGE = (2, 3, 64, 64)


def with_statistics(model: nn.Module) -> nn.Module:
    """Give batch normalization what it has after a training, so that leaving it out would show."""
    for norm in norms_of(model):
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        if norm.weight is not None:
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "n_left"),
    [
        ("test_efficientnet", 0),
        ("test_resnet", 0),
        ("mobilenetv3_small_050", 0),
        # Before a convolution, or beside one, there is none to fold into.
        ("densenet121", 62),
        ("repvgg_a0", 17),
        # None at all.
        ("test_vit", 0),
        ("test_convnext", 0),
    ],
)
def test_a_network_of_timm_gives_what_it_gave(name: str, n_left: int) -> None:
    torch.manual_seed(0)
    model = with_statistics(timm.create_model(name, num_classes=10, **({"img_size": 64} if "vit" in name else {})))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.randn(IMAGE)
    with torch.inference_mode():
        expected = model(images)
        network = Folded(model)
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())
    assert len(norms_of(network.free.get())) == n_left
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), "the network that was given has changed"


class Shared(nn.Module):
    """One convolution, whose output two layers take, or one that is met twice."""

    def __init__(self, *, twice: bool) -> None:
        super().__init__()
        self.twice = twice
        self.first, self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.conv(self.first(images))
        normed: torch.Tensor = self.norm(x)
        again: torch.Tensor = self.norm(self.conv(normed)) if self.twice else normed + x
        return again


@pytest.mark.parametrize("twice", [True, False])
def test_what_is_used_twice_is_left_as_it_is(twice: bool) -> None:
    torch.manual_seed(0)
    model = with_statistics(Shared(twice=twice))
    images = torch.randn(IMAGE)
    with torch.inference_mode():
        network = folded(model, images[:1])
        torch.testing.assert_close(network(images), model(images))
    assert len(norms_of(network)) == 1


def test_weights_that_two_layers_have_are_left_as_they_are() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    model[2].weight = model[0].weight
    with_statistics(model)
    assert folded(model, torch.randn(IMAGE)) is model


def test_a_bias_and_a_normalization_without_weights_are_folded() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    with_statistics(model).to(memory_format=torch.channels_last)
    images = torch.randn(IMAGE).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        network = folded(model, images[:1])
        torch.testing.assert_close(network(images), model(images), rtol=1e-4, atol=1e-5)
    assert not norms_of(network)
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in network.parameters() if each.ndim == 4)


def test_the_custom_cnn_loses_all_of_its_normalization() -> None:
    torch.manual_seed(0)
    model = with_statistics(CustomCNN(10))
    images = torch.randn(IMAGE)
    with torch.inference_mode():
        network = folded(model, images[:1])
        torch.testing.assert_close(network(images), model(images), rtol=1e-4, atol=1e-5)
    assert not norms_of(network)


class Remembering(nn.Module):
    """What it keeps from one layer to the next is another thread's if they share it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = torch.zeros(())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen = images
        for _ in range(20):
            images = images.sin()
        return self.seen.mean((1, 2, 3)) + 0 * images.mean((1, 2, 3))


def test_threads_share_no_images_and_later_ones_are_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clfctl.engine.folded.PIXELS", 2 * 64 * 64)
    before = torch.get_num_threads()
    images = torch.randn(101, *IMAGE[1:])
    with torch.inference_mode():
        torch.testing.assert_close(Folded(Remembering())(images), images.mean((1, 2, 3)))
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert [torch.get_num_threads(), *found] == [before, before]
