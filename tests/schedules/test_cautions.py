"""Curves that are most likely a mistake: each is found, with its reason, and sound ones are not."""

import pytest

from clfctl.planning.plan import make_plan
from clfctl.settings.groups import PlanSettings

MISTAKES = [
    ({"warmup": 30}, "warmup takes 30 epochs and training has 25: the base learning rate is never reached"),
    ({"scheduler": "cosine", "t_max": 10}, "cosine reaches its lowest rate after 10 of 25 epochs"),
    ({"scheduler": "linear", "t_max": 10}, "the learning rate is 0 from epoch 11 of 25 on"),
    ({"scheduler": "cosine-restarts", "t_0": 30}, "the first cosine takes 30 epochs and cosine-restarts has 25"),
    ({"warmup_start": 0.1}, "`warmup_start=` does nothing without `warmup=`"),
    ({"scheduler": "cosine", "t_max": 10, "eta_min": 1e-5}, "the learning rate climbs again"),
    ({"scheduler": "cosine", "t_max": 24, "lr_every": "batch"}, "the learning rate climbs again"),
    ({"step_size": 25}, "step changes every 25 epochs and has 25: it never acts"),
    ({"scheduler": "multistep", "milestones": "30,60"}, "the first milestone is epoch 30 and multistep has 25"),
    ({"scheduler": "onecycle", "t_max": 10}, "onecycle is 10 epochs long and has 25: it stays at its lowest rate"),
    ({"scheduler": "onecycle", "t_max": 50}, "onecycle is 50 epochs long and has 25: it is cut off"),
    ({"lr": 1.5}, "the learning rate reaches 1.5: above 1 most trainings diverge"),
    ({"scheduler": "plateau", "early_stopping": 4}, "plateau can never act"),
    ({"scheduler": "plateau", "patience": 23}, "plateau waits for more than 23 epochs after the best and has 25"),
    ({"scheduler": "cosine", "eta_min": 1e-3}, "the lowest learning rate of cosine is 0.001 and the base is 0.0001"),
    ({"cooldown": 3}, "`cooldown=` does nothing without `early_stopping=`"),
    ({"scheduler": "step:30 > cosine"}, "the part cosine would begin after epoch 30 and training has 25"),
    ({"scheduler": "step:10 > cosine:5"}, "the last part ends after epoch 15 of 25"),
    ({"scheduler": "cosine:10 > cosine"}, "write >> where it should begin at the base again"),
]


@pytest.mark.parametrize(("values", "message"), MISTAKES)
def test_mistakes_are_found(values: dict[str, object], message: str) -> None:
    found = make_plan(PlanSettings.model_validate(values)).cautions
    assert [each for each in found if message in each], found


SOUND = [
    {},
    {"scheduler": "cosine", "warmup": 2},
    {"scheduler": "cosine", "t_max": 25},
    {"scheduler": "cosine", "t_max": 25, "warmup": 2},
    {"scheduler": "cosine", "t_max": 50},  # half of it, on purpose
    {"scheduler": "plateau", "early_stopping": 5, "cooldown": 3},
    {"scheduler": "onecycle", "lr": 1.0},
    {"scheduler": "wsd"},
    {"scheduler": "polynomial"},
    {"scheduler": "linear(start=0.1):2 > cosine(eta_min=1e-5):20 > plateau(patience=0)"},
    {"scheduler": "cosine:10 >> cosine"},
    {"scheduler": "cosine-restarts"},
    {"scheduler": "linear(start=0):5 > cosine"},
    {"scheduler": "cosine-restarts", "cycles": 5, "lr_every": "batch"},
    {"scheduler": "exponential"},
    {"scheduler": "multistep"},
    {"scheduler": "inverse-sqrt", "warmup": 1},
]


@pytest.mark.parametrize("values", SOUND)
def test_sound_curves_are_not_warned_of(values: dict[str, object]) -> None:
    assert make_plan(PlanSettings.model_validate(values)).cautions == ()
