"""The layer that is looked at is found by itself, for every kind of network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from clfctl.errors import UsageError
from clfctl.explaining.layers import choose_layer, layers_of, named_layer, try_layers
from clfctl.explaining.layout import Layout, layout_of
from clfctl.models.custom_cnn import CustomCNN
from clfctl.models.resnet9 import ResNet9

SHAPES: list[tuple[tuple[int, ...], tuple[int, int], bool, Layout | None]] = [
    ((2, 512, 7, 7), (224, 224), False, Layout("channels first", 512, 7, 7)),
    ((2, 7, 7, 768), (224, 224), True, Layout("channels last", 768, 7, 7)),
    ((2, 7, 7, 768), (224, 224), False, Layout("channels last", 768, 7, 7)),
    ((2, 8, 8, 8), (256, 256), False, Layout("channels first", 8, 8, 8)),
    ((2, 8, 8, 8), (256, 256), True, Layout("channels last", 8, 8, 8)),
    ((2, 4, 4, 8), (128, 256), False, Layout("channels first", 4, 4, 8)),
    ((2, 197, 192), (224, 224), False, Layout("tokens", 192, 14, 14, 1)),
    ((2, 196, 192), (224, 224), False, Layout("tokens", 192, 14, 14, 0)),
    ((2, 73, 64), (128, 144), False, Layout("tokens", 64, 8, 9, 1)),
    ((2, 257, 384), (224, 224), False, Layout("tokens", 384, 16, 16, 1)),
    ((2, 2048, 8, 8), (299, 299), False, Layout("channels first", 2048, 8, 8)),
    ((2, 3, 197, 197), (224, 224), False, None),  # attention, not a map
    ((2, 100, 3), (224, 224), False, None),
    ((2, 1000), (224, 224), False, None),
    ((2, 512, 1, 1), (224, 224), False, None),
]


@pytest.mark.parametrize(("shape", "image", "is_last", "expected"), SHAPES)
def test_shapes_are_read_as_maps(
    shape: tuple[int, ...], image: tuple[int, int], is_last: bool, expected: Layout | None
) -> None:
    assert layout_of(shape, image, is_last=is_last) == expected


def test_every_layout_becomes_the_same_map() -> None:
    maps = torch.rand(2, 5, 3, 4)
    tokens = torch.cat([torch.full((2, 1, 5), 9.0), maps.flatten(2).transpose(1, 2)], 1)
    torch.testing.assert_close(Layout("tokens", 5, 3, 4, 1).to_map(tokens), maps)
    torch.testing.assert_close(Layout("channels last", 5, 3, 4).to_map(maps.permute(0, 2, 3, 1)), maps)


def looked_at(model: nn.Module, size: int) -> tuple[str, str]:
    layer = choose_layer(model.eval(), layers_of(model, size), "it")
    return layer.name, str(layer.layout)


OWN = [
    (lambda: CustomCNN(3), 224, "stages.4.5", "512 x 14 x 14"),
    (lambda: CustomCNN(3), 64, "stages.4.5", "512 x 4 x 4"),
    (lambda: CustomCNN(3), 32, "stages.3.5", "256 x 4 x 4"),
    (lambda: ResNet9(3, width=4), 32, "stages.3", "32 x 4 x 4"),
    (lambda: ResNet9(3, width=4), 64, "stages.3", "32 x 8 x 8"),
    (lambda: ResNet9(3, width=4), 8, "stages.2.0", "16 x 4 x 4"),
]


@pytest.mark.usefixtures("real_cnn")
@pytest.mark.parametrize(("make", "size", "name", "map_size"), OWN)
def test_of_our_own_networks_it_is_the_last_before_a_pool(make: Any, size: int, name: str, map_size: str) -> None:
    assert looked_at(make(), size) == (name, map_size)


OF_TIMM = [
    ("resnet18", 224, "layer4", "512 x 7 x 7"),
    ("resnet50", 64, "layer3", "1024 x 4 x 4"),
    ("efficientnet_b0", 224, "bn2", "1280 x 7 x 7"),
    ("efficientnet_b0", 64, "blocks.4", "112 x 4 x 4"),
    ("convnext_atto", 224, "stages.3", "320 x 7 x 7"),
    ("vit_tiny_patch16_224", 224, "blocks.11.norm1", "192 x 14 x 14"),
    # Its head sees the mean of what its norm returns: the map of that is the class activation map itself.
    ("vit_base_patch16_gap_224", 224, "norm", "768 x 14 x 14"),
    ("swin_tiny_patch4_window7_224", 224, "norm", "768 x 7 x 7"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "layer", "map_size"), OF_TIMM)
def test_of_the_usual_networks_it_is_the_usual_layer(name: str, size: int, layer: str, map_size: str) -> None:
    assert looked_at(timm.create_model(name, num_classes=5), size) == (layer, map_size)


OTHERS = (
    "mobilenetv3_small_050", "regnetx_002", "densenet121", "inception_v3", "xcit_nano_12_p16_224", "mixer_s32_224",
    "deit_tiny_distilled_patch16_224", "cait_xxs24_224", "levit_128s", "mobilevit_xxs", "edgenext_xx_small",
    "poolformerv2_s12", "pvt_v2_b0", "hiera_tiny_224", "maxvit_rmlp_pico_rw_256", "eva02_tiny_patch14_224",
    "swinv2_cr_tiny_ns_224", "fastvit_t8", "mvitv2_tiny", "repvgg_a0", "vit_tiny_r_s16_p8_224", "beit_base_patch16_224",
    "efficientformer_l1", "tiny_vit_5m_224", "coat_lite_tiny", "convmixer_768_32", "resmlp_12_224", "gmlp_ti16_224",
    "davit_tiny", "nest_tiny", "dm_nfnet_f0", "hrnet_w18_small", "ghostnet_050", "rexnet_100",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_every_other_network_has_one_too(name: str) -> None:
    model = timm.create_model(name, num_classes=5).eval()
    size = model.pretrained_cfg["input_size"][1]
    layer = choose_layer(model, layers_of(model, size), name)
    assert layer.reaches
    assert layer.layout.least_side >= 4
    # It has patches of 7 pixels, and no stages after them.
    assert layer.layout.least_side <= size // (7 if name == "convmixer_768_32" else 8)


SIZES = [
    ("custom", 63, "stages.3.5"),
    ("custom", 64, "stages.4.5"),
    ("resnet18", 96, "layer3"),
    ("resnet18", 97, "layer4"),
]


@pytest.mark.parametrize(("name", "size", "expected"), SIZES)
def test_of_small_images_an_earlier_stage_is_taken_as_the_docs_say(name: str, size: int, expected: str) -> None:
    model = CustomCNN(3).eval() if name == "custom" else timm.create_model(name, num_classes=3).eval()
    assert choose_layer(model, layers_of(model, size), name).name == expected


def test_a_layer_is_taken_by_any_of_its_names_and_the_nearest_is_offered() -> None:
    model, run = ResNet9(3, width=4).eval(), Path("runs/x")
    layers = layers_of(model, 32)
    assert named_layer(model, layers, "stages.2.0", run).layout == Layout("channels first", 16, 16, 16)
    assert named_layer(model, layers, "stages.0.2", run).name == "stages.0"
    with pytest.raises(UsageError, match=r"'stages.9' is not a layer") as error:
        named_layer(model, layers, "stages.9", run)
    assert "did you mean stages." in error.value.hint
    with pytest.raises(UsageError, match="head gives no map"):
        named_layer(model, layers, "head", run)
    with pytest.raises(UsageError) as error:
        named_layer(model, layers, "nope", run)
    assert error.value.hint == "clfctl explain runs/x `list_layers=True` shows them"


def test_a_network_without_places_is_refused_with_what_would_do() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    with pytest.raises(UsageError, match="mlp has no layer that is a map") as error:
        choose_layer(model, layers_of(model, 8), "mlp")
    assert "occlusion" in error.value.hint
    with pytest.raises(UsageError, match="mlp cannot be looked into"):
        try_layers(model, 9, "mlp")


def test_looking_leaves_the_network_as_it_was() -> None:
    model = CustomCNN(3).eval()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    images = torch.rand(2, 3, 32, 32)
    answer = model(images)
    layers_of(model, 32)
    assert not any(each._forward_hooks for each in model.modules())
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    np.testing.assert_array_equal(model(images).detach(), answer.detach())
