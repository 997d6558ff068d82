"""Sliders of schedules: every parameter of every kind has one, with values that the kind takes."""

import contextlib
from typing import Any

import pytest

from clfctl.api.previewing import preview
from clfctl.app.sliders import MOST_VALUES, expression_of, rates_around, sliders_of, value_text
from clfctl.errors import ClfctlError
from clfctl.schedules import KINDS, parse_expression
from clfctl.schedules.parameters import fit_value, parameters_of

EPOCHS, LR = 30, 1e-3


@pytest.mark.parametrize("name", KINDS)
def test_every_parameter_has_a_slider_within_its_limits(name: str) -> None:
    sliders = sliders_of(KINDS[name], EPOCHS, LR)
    assert [each.name for each in sliders] == [each.name for each in parameters_of(KINDS[name])]
    for slider in sliders:
        if slider.kind in ("text", "several"):
            continue
        assert slider.default in slider.values, slider.name
        assert 2 <= len(slider.values) <= MOST_VALUES + 5, slider.name
        for value in slider.values:
            assert fit_value(value, slider.parameter) == value
        numbers = [each for each in slider.values if each is not None]
        assert slider.kind != "slider" or numbers == sorted(set(numbers)), slider.name


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("place", [0, -1])
def test_the_expression_is_read_back_as_what_was_set(name: str, place: int) -> None:
    sliders = sliders_of(KINDS[name], EPOCHS, LR)
    for slider in sliders:
        if not slider.values:
            continue
        value: Any = (slider.values[place],) if slider.kind == "several" else slider.values[place]
        text = expression_of(name, sliders, {slider.name: value})
        made = parse_expression(text).schedule()
        assert getattr(made, slider.name) == value, text
        assert (slider.name in text) == (value != slider.default or slider.name == "step_size"), text


def test_what_a_slider_ends_at_follows_the_training() -> None:
    of_step = {each.name: each for each in sliders_of(KINDS["step"], 7, LR)}
    assert of_step["step_size"].values == (1, 2, 3, 4, 5, 6, 7)
    of_cosine = {each.name: each for each in sliders_of(KINDS["cosine"], 7, 2e-2)}
    assert of_cosine["eta_min"].values[0] == 0.0
    assert of_cosine["eta_min"].values[-1] == 2e-2
    assert of_cosine["every"].values == ("epoch", "batch")
    assert {each.name: each for each in sliders_of(KINDS["linear"], 7, LR)}["end"].values[0] is None


def test_numbers_are_written_short() -> None:
    assert rates_around(1e-3, 1, 0) == [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3]
    assert [value_text(each) for each in (None, 0.30000000000000004, 1e-5, 3, "min")] == [
        "unset",
        "0.3",
        "1e-05",
        "3",
        "min",
    ]


@pytest.mark.parametrize("name", KINDS)
def test_at_its_ends_a_slider_draws_a_curve_or_says_why_not(name: str) -> None:
    sliders = sliders_of(KINDS[name], EPOCHS, LR)
    n_drawn = 0
    for slider in sliders:
        for value in {*slider.values[:1], *slider.values[-1:]}:
            values: Any = {slider.name: (value,) if slider.kind == "several" else value}
            text = expression_of(name, sliders, values)
            with contextlib.suppress(ClfctlError):
                found = preview(scheduler=text, epochs=EPOCHS, lr=LR, steps_per_epoch=10)
                assert all(track.points() for track in found.tracks)
                n_drawn += 1
    assert n_drawn > len(sliders)
