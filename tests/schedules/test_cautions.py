"""Curves that are most likely a mistake: each is found, with its reason, and sound ones are not."""

import pytest

from clfctl.errors import UsageError
from clfctl.planning.plan import make_plan
from clfctl.schedules.catalog import kinds_with
from clfctl.settings.groups import PlanSettings, TrainSettings
from clfctl.settings.sources import from_fields, recipe_names, resolve

MISTAKES: list[tuple[dict[str, object], str]] = [
    ({"warmup": 30}, "warmup takes 30 epochs and training has 25: the base learning rate is never reached"),
    ({"scheduler": "cosine", "t_max": 10}, "cosine reaches its lowest rate after 10 of 25 epochs"),
    ({"scheduler": "linear", "t_max": 10}, "the learning rate is 0 from epoch 11 of 25 on"),
    ({"scheduler": "cosine-restarts", "t_0": 30}, "the first cosine takes 30 epochs and cosine-restarts has 25"),
    ({"warmup_start": 0.1}, "`warmup_start=` does nothing without `warmup=`"),
    ({"scheduler": "cosine", "t_max": 10, "eta_min": 1e-5}, "the learning rate climbs again"),
    ({"scheduler": "cosine", "t_max": 24, "lr_every": "batch"}, "the learning rate climbs again"),
    ({"step_size": 25}, "step changes every 25 epochs and has 25: it never acts"),
    ({"scheduler": "step", "epochs": 3}, "step changes every 5 epochs and has 3: it never acts"),
    ({"scheduler": "multistep", "milestones": "30,60"}, "the first milestone is epoch 30 and multistep has 25"),
    ({"scheduler": "onecycle", "t_max": 10}, "onecycle is 10 epochs long and has 25: it stays at its lowest rate"),
    ({"scheduler": "onecycle", "t_max": 50}, "onecycle is 50 epochs long and has 25: it is cut off"),
    ({"lr": 1.5}, "the learning rate reaches 1.5: above 1 most trainings diverge"),
    ({"scheduler": "plateau", "early_stopping": 4}, "plateau can never act"),
    ({"scheduler": "plateau", "patience": 23}, "plateau waits for more than 23 epochs after the best and has 25"),
    ({"scheduler": "cosine", "eta_min": 1e-3}, "the lowest learning rate of cosine is 0.001 and the base is 0.0001"),
    ({"scheduler": "polynomial", "eta_min": 1e-3}, "the lowest learning rate of polynomial is 0.001 and the base is"),
    ({"scheduler": "cosine-restarts", "eta_min": 1e-3}, "the lowest learning rate of cosine-restarts is 0.001 and the"),
    ({"scheduler": "wsd", "eta_min": 1e-3}, "the lowest learning rate of wsd is 0.001 and the base is 0.0001: it does"),
    (
        {"scheduler": "cooldown", "eta_min": 1e-3},
        "the lowest learning rate of cooldown is 0.001 and the base is 0.0001",
    ),
    ({"scheduler": "greedy", "eta_min": 1e-3}, "the lowest learning rate of greedy is 0.001 and the base is 0.0001"),
    ({"scheduler": "greedy", "patience": 24}, "greedy waits for more than 24 epochs after the best and has 25"),
    ({"scheduler": "greedy", "patience": 23}, "after the best and has 25: it can only raise the learning rate"),
    ({"scheduler": "plateau(every=5, patience=4)"}, "plateau needs more than 5 looks, one every 5, and has 25 epochs"),
    ({"scheduler": "plateau", "eta_min": 1e-3}, "the lowest learning rate of plateau is 0.001 and the base is 0.0001"),
    (
        {"scheduler": "cooldown", "eta_min": 1e-3},
        "the lowest learning rate of cooldown is 0.001 and the base is",
    ),
    ({"scheduler": "wsd", "eta_min": 1e-4, "warmup": 2}, "the lowest learning rate of wsd is 0.0001 and the base is"),
    ({"scheduler": "0.1*wsd(eta_min=5e-5)"}, "the lowest learning rate of wsd is 5e-05 and it begins at 1e-05"),
    ({"scheduler": "step(5, 0.1):10 >> cosine-restarts(eta_min=1e-3)"}, "of cosine-restarts is 0.001 and the base is"),
    ({"scheduler": "cosine(eta_min=1e-6):10 > plateau(min_lr=1e-6)"}, "of plateau is 1e-06 and it begins at 1e-06"),
    ({"eta_min": 1e-3, "cooldown": 2, "early_stopping": 3}, "the cooldown ends at 0.001 and the base is 0.0001"),
    ({"cooldown": 3}, "`cooldown=` does nothing without `early_stopping=`"),
    ({"scheduler": "step:30 > cosine"}, "the part cosine would begin after epoch 30 and training has 25"),
    ({"scheduler": "step:10 > cosine:5"}, "the last part ends after epoch 15 of 25"),
    (
        {"scheduler": "cosine:20 > average:5"},
        "the weights that are averaged are all the same; give the part a",
    ),
    ({"warmup": 13}, "warmup takes 13 of 25 epochs: for more than half of the training the rate is below the base"),
    ({"warmup": 450}, "the base learning rate is never reached, the highest is 5.56e-06, 18 times lower"),
    ({"scheduler": "linear(start=0, every=epoch):5 > cosine"}, "rate is 0 throughout epoch 1: nothing is"),
    (
        {"scheduler": "torch:CosineAnnealingLR(T_max=10)"},
        "the learning rate is 0 throughout epoch 11: nothing",
    ),
    ({"scheduler": "cosine", "t_max": 50, "eta_min": 1e-6}, "the lowest learning rate of cosine is 1e-06 and it comes"),
    (
        {"scheduler": "cosine", "epochs": 3, "eta_min": 1e-6},
        "it comes down to 2.58e-05: what was stated is never reached",
    ),
    ({"scheduler": "exponential(gamma=0.5)"}, "the learning rate is below 1e-09 in 8 of 25 epochs, from epoch 18"),
    ({"scheduler": "constant", "lr": 1e-10}, "the learning rate is below 1e-09 in 25 of 25 epochs, from epoch 1: such"),
    (
        {"scheduler": "wsd", "early_stopping": 8},
        "early stopping ends training after 8 epochs without improvement and the "
        "learning rate first falls in epoch 21: it may end before that has helped",
    ),
    ({"scheduler": "step", "step_size": 10, "early_stopping": 9}, "the learning rate first falls in epoch 11"),
    ({"scheduler": "cosine", "warmup": 6, "early_stopping": 4}, "the learning rate first falls in epoch 8"),
    ({"scheduler": "cosine", "optimizer": "AdamWScheduleFree"}, "AdamWScheduleFree is schedule-free: it averages its"),
    ({"scheduler": "plateau", "optimizer": "schedulefree_sgd"}, "schedulefree_sgd is schedule-free: it averages its"),
    ({"scheduler": "cosine-restarts", "t_0": 3, "warmup": 5}, "warmup takes 5 epochs and the first cosine 3: it rises"),
    (
        {"scheduler": "linear(start=0, t_max=6) * cosine-restarts(t_0=5)"},
        "restarts after 5 epochs, inside the rise over 6",
    ),
    (
        {"scheduler": "linear(start=0):6 >> cosine-restarts(t_0=5)@6"},
        "begins 6 epochs late and restarts after 5: a restart",
    ),
    (
        {"scheduler": "plateau", "plateau_mode": "max"},
        "plateau takes a larger metric for the better one (mode=max), and of",
    ),
    (
        {"scheduler": "plateau(mode=min)", "monitor": "val_top1"},
        "of the monitored one a larger is better: it acts while",
    ),
    (
        {"scheduler": "torch:ReduceLROnPlateau(mode=max)"},
        "torch:ReduceLROnPlateau takes a larger metric for the better",
    ),
    (
        {"scheduler": "cosine", "t_max": 5000},
        "`t_max=5000` counts epochs, and cosine has 25: most likely batches are meant",
    ),
    ({"scheduler": "step", "step_size": 1000}, "`step_size=1000` counts epochs, and step has 25"),
    ({"scheduler": "multistep(milestones=[1000, 2000])"}, "`milestones=1000` counts epochs, and multistep has 25"),
    (
        {"scheduler": "torch:CosineAnnealingLR(T_max=5000)"},
        "T_max of torch:CosineAnnealingLR is 5000, and it is stepped",
    ),
    ({"scheduler": "cosine:10 > cosine"}, "write >> where it should begin at the base again"),
]


def test_every_kind_with_a_lowest_rate_is_in_the_table() -> None:
    told = {str(values["scheduler"]) for values, message in MISTAKES if message.startswith("the lowest learning")}
    assert {name for name, _ in kinds_with("eta_min")} <= told


@pytest.mark.parametrize(("values", "message"), MISTAKES)
def test_mistakes_are_found(values: dict[str, object], message: str) -> None:
    found = make_plan(PlanSettings.model_validate(values)).cautions
    assert [each for each in found if message in each], found


EXTREME = [
    (
        {"scheduler": "onecycle(t_max=5e-324)"},
        "of onecycle cannot be computed: float division by zero",
    ),
    ({"scheduler": "wsd(t_max=5e-324)"}, "of wsd cannot be computed: float division by zero"),
    ({"scheduler": "1e300*constant", "lr": 1e300}, "the learning rate of epoch 1 is inf"),
    ({"scheduler": "cosine(eta_min=1.7e308)", "lr": 1e300, "epochs": 8}, "the learning rate of epoch 1 is -inf"),
    ({"scheduler": "linear(start=1.7e308, end=0)", "lr": 1e300}, "the learning rate of epoch 1 is inf"),
]


@pytest.mark.parametrize(("values", "message"), EXTREME)
def test_curves_without_a_number_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_plan(PlanSettings.model_validate(values))
    assert message in str(caught.value)


SOUND = [
    {},
    {"epochs": 3},  # nobody chose `step`
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
    {"scheduler": "cosine-restarts", "eta_min": 9.9e-5},
    {"scheduler": "wsd", "eta_min": 1e-6, "warmup": 2},
    {"scheduler": "0.1*wsd(eta_min=5e-6)"},
    {"scheduler": "linear(start=0):5 > cosine"},
    {"scheduler": "cosine-restarts", "cycles": 5, "lr_every": "batch"},
    {"scheduler": "exponential"},
    {"scheduler": "cosine(eta_min=1e-5):20 > average:5"},
    {"scheduler": "cosine:20 > average(rate=1e-5):5"},
    {"scheduler": "cosine:20 >> 0.1*average:5"},
    {"scheduler": "multistep"},
    {"scheduler": "inverse-sqrt", "warmup": 1},
    {"scheduler": "cosine", "eta_min": 1e-6},
    {"scheduler": "cosine", "eta_min": 1e-6, "epochs": 300, "warmup": 5, "early_stopping": 10},
    {"scheduler": "wsd", "early_stopping": 8, "cooldown": 3},
    {"scheduler": "step", "early_stopping": 5},
    {"scheduler": "constant", "early_stopping": 5},
    {"scheduler": "constant", "optimizer": "adamw_schedulefree", "warmup": 2},
    {"scheduler": "cosine", "epochs": 1000},
    {"scheduler": "onecycle", "epochs": 300},
    {"scheduler": "plateau(mode=max)", "monitor": "val_top1"},
    {"scheduler": "torch:ReduceLROnPlateau(patience=2)"},
    {"scheduler": "torch:CosineAnnealingLR(T_max=25)"},
    {"scheduler": "linear(start=0, every=batch):5 >> cosine(eta_min=1e-06)@5"},
    {"scheduler": "linear(start=0, t_max=3) * cosine(eta_min=1e-6)"},
    {"scheduler": "cosine-restarts", "t_0": 5, "warmup": 2},
    {"warmup": 12},
]


@pytest.mark.parametrize("name", recipe_names())
def test_our_recipes_are_not_warned_of(name: str) -> None:
    settings = from_fields(TrainSettings, {"recipe": name, "data": "photos"}).settings
    assert make_plan(settings, 200).cautions == ()


def test_batches_are_told_where_it_is_known_how_many_there_are() -> None:
    def cautions(t_max: float, n: int) -> tuple[str, ...]:
        return make_plan(PlanSettings(scheduler=f"cosine(t_max={t_max:g})"), n).cautions

    assert cautions(2500, 100)[0].endswith("; as batches it would be 25 epochs")
    assert "counts epochs" in cautions(75, 3)[0]  # exactly the batches of the training
    assert not cautions(75, 100)


def test_a_curve_fitted_to_less_than_an_epoch_is_not_taken_for_batches() -> None:
    settings = PlanSettings(warmup="auto:stable(max=95%)", epochs=1, scheduler="cosine")
    assert not [each for each in make_plan(settings, 100).cautions if "batches are meant" in each]


def test_a_warmup_in_batches_of_a_short_training_is_the_18_times_of_ultralytics() -> None:
    # Its pull request 25321: 20 batches, all of them inside a warmup of at least 100.
    settings = PlanSettings(warmup="100b", epochs=10, lr=1e-3, scheduler="linear")
    warned = make_plan(settings, 2).cautions[0]
    assert "warmup takes 50 epochs and training has 10: the base learning rate is never reached" in warned
    assert warned.endswith("the highest is 0.00019, 5.26 times lower")


def test_the_length_that_a_data_set_brings_is_nobodys_choice() -> None:
    for words, n in (({}, 0), ({"step_size": 4}, 1), ({"scheduler": "step"}, 1)):
        settings = resolve(TrainSettings, {"data": "digits", "epochs": 2, **words}).settings
        found = make_plan(settings).cautions
        assert sum("it never acts" in each for each in found) == n, (words, found)


@pytest.mark.parametrize("values", SOUND)
def test_sound_curves_are_not_warned_of(values: dict[str, object]) -> None:
    assert make_plan(PlanSettings.model_validate(values)).cautions == ()
