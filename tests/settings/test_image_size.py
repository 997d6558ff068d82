"""Sizes and ranges as they are typed, kept and shown."""

import json
import tomllib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from clfctl.settings.data import DataSettings
from clfctl.settings.dump import to_toml
from clfctl.settings.image_size import Rectangle, image_size, read_image_size, sides, size_in_words
from clfctl.settings.ranges import Range, read_range


@pytest.mark.parametrize("given", [224, "224", " 224 ", 224.0, "224x224", "224 × 224", (224, 224), [224, 224]])
def test_a_square_is_a_number(given: object) -> None:
    found = DataSettings.model_validate({"image_size": given}).image_size
    assert found == 224
    assert isinstance(found, int)


@pytest.mark.parametrize("given", ["128x256", "128X256", "128 × 256", (128, 256), [128, 256], Rectangle(128, 256)])
def test_a_rectangle_is_height_and_width(given: object) -> None:
    found = DataSettings.model_validate({"image_size": given}).image_size
    assert found == Rectangle(128, 256)
    assert str(found) == "128x256"
    assert size_in_words(read_image_size(given)) == "128 × 256"


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_sizes_come_back_from_json_and_toml(height: int, width: int) -> None:
    settings = DataSettings(image_size=image_size(height, width))
    assert sides(read_image_size(settings.image_size)) == (height, width)
    for kept in (json.loads(settings.model_dump_json()), tomllib.loads(to_toml(settings)), settings.model_dump()):
        assert DataSettings.model_validate(kept) == settings


@given(st.floats(1e-3, 1), st.floats(1e-3, 1))
def test_ranges_come_back_to_the_bit(one: float, other: float) -> None:
    low, high = sorted((one, other))
    settings = DataSettings(crop_scale=Range(low, high), crop_ratio=Range(low, 1 / low))
    for kept in (json.loads(settings.model_dump_json()), tomllib.loads(to_toml(settings))):
        assert DataSettings.model_validate(kept) == settings


def test_ranges_are_written_as_they_are_typed() -> None:
    assert str(DataSettings().crop_scale) == "0.08..1"
    assert str(DataSettings().crop_ratio) == "0.75..4/3"
    assert read_range("3/4..4/3").pair == (3 / 4, 4 / 3)
    assert read_range(" .5 .. 1. ") == read_range((0.5, 1)) == Range(0.5, 1.0)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--image-size", each) for each in ("0", "-3", "12x", "x12", "8x0", "1x2x3", "large", "2.5", "nan", "inf")),
        *(("--crop-scale", each) for each in ("0.5", "0..1", "0.5..1.2", "1..0.5", "a..b", "0.1..nan", "1/0..1", "..")),
        *(("--crop-ratio", each) for each in ("1", "0..1", "2..1", "1..inf", "-1..1", "1...2")),
        ("--fit", "centre"),
    ],
)
def test_a_bad_value_is_a_sentence(option: str, value: str, cli: Callable[..., Result]) -> None:
    result = cli("train", f"{option}={value}")
    assert result.exit_code == 2
    words = " ".join(result.stderr.split())
    assert f"{option}: '{value}' (from the command line) is not allowed; it must be " in words
    allowed = {
        "--image-size": "a whole number of at least 1, height and width such as 128x256, or auto",
        "--crop-scale": "a range above 0 and up to 1, such as 0.5..1",
        "--crop-ratio": "a range of numbers above 0, such as 0.75..1.33",
        "--fit": "one of auto, crop, letterbox, stretch, reflect",
    }
    assert allowed[option] in words
