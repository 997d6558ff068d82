"""What a model sees: what timm says of its weights, unless something else is stated; older cards as they always did."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform

from clfctl.data.pixels.decode import resize_by_pillow
from clfctl.data.pixels.fit import FITS, INTERPOLATIONS
from clfctl.data.pixels.transform import Preprocess, to_pixels
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import build_parts
from clfctl.models.built import Built
from clfctl.models.card import Card, preprocess_as_json
from clfctl.models.factory import build_model, rebuild_model
from clfctl.settings.data import FitSetting
from clfctl.settings.groups import TrainSettings
from clfctl.settings.image_size import Auto, ImageSize, Rectangle
from clfctl.settings.network import ModelSettings
from clfctl.settings.sources import from_fields

OWN = {
    "input_size": [3, 48, 48],
    "interpolation": "bicubic",
    "crop_pct": 0.95,
    "crop_mode": "squash",
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.4],
}


def published(folder: Path, model: str = "test_resnet", **config: object) -> str:
    """Write a folder of timm's with weights that were trained as a configuration says; return its name as a model."""
    timm.models.save_for_hf(timm.create_model(model, num_classes=7), folder, safe_serialization=True)
    path = folder / "config.json"
    content = json.loads(path.read_text())
    content["pretrained_cfg"] |= OWN | config
    path.write_text(json.dumps(content))
    return f"local-dir:{folder}"


def built(name: str, size: ImageSize | Auto = "auto", fit: FitSetting = "auto", **values: object) -> Built:
    return build_model(ModelSettings.model_validate({"model": name} | values), 4, size, fit=fit)


def test_published_weights_see_what_they_were_trained_on(tmp_path: Path) -> None:
    seen = built(published(tmp_path / "m")).preprocess
    assert seen == Preprocess(48, 0.95, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "bicubic", "stretch")


def test_what_is_stated_goes_before_it(tmp_path: Path) -> None:
    name = published(tmp_path / "m")
    assert built(name, 64).preprocess.image_size == 64
    assert built(name, Rectangle(32, 64)).preprocess.size == (32, 64)
    whole = built(name, fit="letterbox").preprocess
    assert (whole.fit, whole.crop_ratio, whole.interpolation) == ("letterbox", 1.0, "bicubic")
    assert built(name, fit="crop").preprocess.crop_ratio == 0.95
    small = build_model(ModelSettings(model=name), 4, is_small=True).preprocess
    assert (small.fit, small.crop_ratio) == ("stretch", 1.0)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_the_pixels_are_those_of_timms_transform_for_the_model(interpolation: str, mode: str, tmp_path: Path) -> None:
    made = built(published(tmp_path / "m", interpolation=interpolation, crop_mode=mode))
    transform: Any = create_transform(**timm.data.resolve_model_data_config(made.model), normalize=False)
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    theirs = transform(Image.fromarray(noise)).permute(1, 2, 0).numpy()
    assert np.array_equal(to_pixels(noise, made.preprocess, resize_by_pillow), theirs)
    tolerance = {"bilinear": 1, "bicubic": 2}.get(interpolation, 0)
    assert np.abs(to_pixels(noise, made.preprocess).astype(int) - theirs).max() <= tolerance


def test_what_timm_does_not_know_is_its_default(tmp_path: Path) -> None:
    seen = built(published(tmp_path / "m", interpolation="random", crop_mode="other")).preprocess
    assert (seen.interpolation, seen.fit) == ("bicubic", "crop")


def test_new_weights_are_used_to_nothing(tmp_path: Path) -> None:
    name = published(tmp_path / "m")
    seen = built(name, pretrained=False).preprocess
    assert (seen.image_size, seen.interpolation, seen.fit, seen.mean) == (224, "bilinear", "crop", (0.5, 0.4, 0.3))
    assert built("custom").preprocess == Preprocess(224)


def test_weights_of_a_file_are_used_to_what_the_model_is(tmp_path: Path) -> None:
    name = published(tmp_path / "m")
    torch.save(timm.create_model("test_resnet", num_classes=4).state_dict(), tmp_path / "w.pth")
    seen = built(name, weights=tmp_path / "w.pth").preprocess
    assert (seen.image_size, seen.interpolation) == (48, "bicubic")


@pytest.mark.parametrize("size", ["auto", 96, Rectangle(64, 96)], ids=str)
def test_a_transformer_of_a_fixed_size_gets_its_own_or_is_built_for_another(size: ImageSize | Auto) -> None:
    name = "test_vit"  # of 160 pixels
    made = built(name, size, pretrained=False)
    expected = 160 if size == "auto" else size
    assert made.preprocess.image_size == expected
    again = rebuild_model(name, 4, ModelSettings(model=name), expected)
    again.load_state_dict(made.model.state_dict())
    assert made.model(torch.zeros(1, 3, *made.preprocess.size)).shape == (1, 4)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [224, Rectangle(128, 256)], ids=str)
def test_a_card_comes_back(fit: Any, size: ImageSize) -> None:
    card = Card("custom", ("a", "b"), Preprocess(size, 0.9, interpolation="lanczos", fit=fit))
    assert Card.from_json(json.loads(json.dumps(card.as_json()))) == card


def test_an_older_card_is_as_it_was() -> None:
    older = {"image_size": 64, "crop_ratio": 0.875, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}
    card = Card.from_json({"model": "custom", "classes": ["a"], "preprocess": older})
    seen = Preprocess(64, 0.875, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    assert card.preprocess == seen
    assert (seen.interpolation, seen.fit) == ("bilinear", "crop")
    kept = preprocess_as_json(seen)
    assert {name: kept[name] for name in older} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in older.items()
    }


@pytest.mark.parametrize(("name", "value"), [("interpolation", "sinc"), ("fit", "zoom"), ("image_size", "0x4")])
def test_a_card_of_a_later_version_is_refused(name: str, value: str) -> None:
    record = {"model": "custom", "classes": ["a"], "preprocess": {"image_size": 64, name: value}}
    with pytest.raises(ValueError, match=value):
        Card.from_json(record)


def test_a_stated_interpolation_is_what_the_model_sees() -> None:
    fields = {"data": "digits", "image_size": 32, "interpolation": "lanczos"}
    settings = from_fields(TrainSettings, fields).settings
    parts = build_parts(settings, open_data(settings, settings.seed))
    assert parts.built.preprocess.interpolation == "lanczos"
    assert parts.card.as_json()["preprocess"]["interpolation"] == "lanczos"
